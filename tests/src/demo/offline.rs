//! The server is stopped: firmware, boot loader and agent bring the confirmed slot up from the local disk.

use anyhow::{Context, Result};

use super::world::{BOOT_LIMIT, World};
use super::{measure, recipes};
use crate::view::seconds;

pub(super) fn run(world: &mut World<'_>) -> Result<String> {
    world.server.stop()?;
    let begin = std::time::Instant::now();
    let mark = world.vm()?.reset()?;
    let console = world.console()?.clone();
    let (_, at) =
        console.wait(mark, &["Booting from Hard Disk"], BOOT_LIMIT).context("the firmware tries the disk")?;
    let (_, at) = console.wait(at, &["bascule ["], BOOT_LIMIT).context("the agent starts from the disk")?;
    let (_, at) = console
        .wait(at, &[recipes::SWITCH_LINE], BOOT_LIMIT)
        .context("the agent mounts the confirmed slot")?;
    console.wait(at, &[recipes::UP_LINE], BOOT_LIMIT).context("the system is up")?;
    let took = begin.elapsed();
    measure::agent(world, "offline", mark)?;
    world.report.time("offline: reset to system up", took);

    // The server comes back and hears of the node.
    let before = {
        world.server.restart()?;
        world.node()?
    };
    world.wait_node(
        "a report to the server that came back",
        BOOT_LIMIT,
        |node| node.runs("ha@1", "a") && !node.events_since(&before).is_empty(),
        |_| None,
    )?;
    Ok(format!("up after {} without any server; reported when it came back", seconds(took)))
}

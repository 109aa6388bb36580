//! The pin goes back to `ha@1`: the node goes down to it and fetches only what it no longer has.

use anyhow::{Context, Result, ensure};

use super::measure;
use super::world::{GROUP, World};
use crate::view::{megabytes, seconds};

pub(super) fn run(world: &mut World<'_>) -> Result<String> {
    // Slot B has ha@2; slot A has what ha@3 left of ha@1, which may save some more.
    let most = measure::predicted(world, "ha@2", "ha@1")?;
    world.repo.pin(GROUP, "ha@1")?;
    let begin = std::time::Instant::now();
    let (mark, _) = world.reset_node()?;
    let node = world.wait_runs("ha@1", "a")?;
    let took = begin.elapsed();
    let fetched = node.fetched().context("the node does not say how much it fetched")?;
    ensure!(
        fetched <= most,
        "bytes fetched for ha@2 → ha@1: expected at most {most} (imgtool diff), found {fetched}"
    );
    world.report.bytes("down 2→1: fetched", fetched);
    world.report.time("down 2→1: reset to confirmed", took);
    measure::agent(world, "down", mark)?;
    Ok(format!(
        "{} fetched (at most {}), confirmed after {}",
        megabytes(fetched),
        megabytes(most),
        seconds(took)
    ))
}

//! A node netboots on a blank disk, installs `ha@1` into slot A, boots it, and confirms it.

use anyhow::{Context, Result, ensure};

use super::world::{DISK_MIB, GROUP, World};
use super::{measure, recipes};
use crate::view::{megabytes, seconds};

pub(super) fn run(world: &mut World<'_>) -> Result<String> {
    let first = world.ship("1")?;
    measure::unchanged_publish(world, "ha@1", first)?;
    world.repo.run(&["assign", "--default", GROUP])?;
    world.repo.pin(GROUP, "ha@1")?;
    recipes::check_listed(world, "ha@1")?;

    let disk = world.disk("node", DISK_MIB)?;
    let begin = std::time::Instant::now();
    world.start_node("node", vec![disk])?;
    let node = world.wait_runs("ha@1", "a")?;
    let took = begin.elapsed();
    ensure!(node.group() == GROUP, "the node's group: expected {GROUP}, found {}", node.group());
    ensure!(node.pinned() == "ha@1", "the node's pin: expected ha@1, found {}", node.pinned());
    let fetched = node.fetched().context("the node does not say how much it fetched")?;
    world.report.bytes("first install: fetched", fetched);
    world.report.time("first install: power on to confirmed", took);
    measure::agent(world, "first install", world.console()?.start())?;
    Ok(format!("{} fetched, confirmed after {}", megabytes(fetched), seconds(took)))
}

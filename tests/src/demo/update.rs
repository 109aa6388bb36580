//! `ha@2` has one package more and one changed configuration file; the node fetches what differs and nothing else.

use anyhow::{Context, Result, ensure};

use super::world::{GROUP, World};
use super::{measure, recipes};
use crate::view::{megabytes, seconds};

pub(super) fn run(world: &mut World<'_>) -> Result<String> {
    recipes::second(world.repo.images())?;
    world.ship("2")?;
    let predicted = measure::predicted(world, "ha@1", "ha@2")?;
    world.repo.pin(GROUP, "ha@2")?;

    let begin = std::time::Instant::now();
    let (mark, _) = world.reset_node()?;
    let node = world.wait_runs("ha@2", "b")?;
    let took = begin.elapsed();
    let fetched = node.fetched().context("the node does not say how much it fetched")?;
    ensure!(
        fetched == predicted,
        "bytes fetched for ha@1 → ha@2: expected {predicted} (imgtool diff), found {fetched}"
    );
    ensure!(
        node.slot_state("a") == ("confirmed", "ha@1"),
        "slot a after the update: expected ha@1 confirmed, found {:?}",
        node.slot_state("a")
    );
    world.report.bytes("update 1→2: predicted by imgtool diff", predicted);
    world.report.bytes("update 1→2: fetched", fetched);
    world.report.time("update 1→2: reset to confirmed", took);
    measure::agent(world, "update", mark)?;
    Ok(format!("{} fetched, as imgtool diff said; confirmed after {}", megabytes(fetched), seconds(took)))
}

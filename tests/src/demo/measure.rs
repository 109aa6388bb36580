//! Numbers of the demo, taken from what the programs print.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::recipes;
use super::world::World;
use crate::process::Output;
use crate::report::Report;
use crate::vm::Mark;

/// Times of a build: whole, and by stage.
pub(super) fn build(report: &mut Report, name: &str, built: &Value, output: &Output) {
    report.time(&format!("{name}: build"), output.took);
    let stages = built["stages"].as_array().map_or(&[][..], Vec::as_slice);
    if let Some(rate) = built["chunk_mb_per_s"].as_f64() {
        report.add(&format!("{name}: chunk, hash, compress"), rate, "MB/s");
    }
    for stage in stages {
        if let (Some(what), Some(seconds)) = (stage["name"].as_str(), stage["seconds"].as_f64()) {
            report.add(&format!("{name}: build: {what}"), seconds, "s");
        }
    }
}

/// Publishes an image that is there already; `first` is how long it took when it was not.
pub(super) fn unchanged_publish(world: &mut World<'_>, image: &str, first: Duration) -> Result<()> {
    let (_, output) = world.repo.publish(image)?;
    world.report.time(&format!("{image}: publish unchanged"), output.took);
    let part = 100.0 * output.took.as_secs_f64() / first.as_secs_f64();
    world.report.add(&format!("{image}: publish unchanged, part of the first (aim: 10 at most)"), part, "%");
    Ok(())
}

/// Bytes that a node with `from` fetches for `to`, as `imgtool diff` says.
pub(super) fn predicted(world: &World<'_>, from: &str, to: &str) -> Result<u64> {
    let (diff, _) = world.repo.run(&["diff", from, to])?;
    diff["fetch_bytes"]
        .as_u64()
        .with_context(|| format!("imgtool diff {from} {to}: no fetch_bytes in {diff}"))
}

/// The agent's own time from its start to switch_root and its peak memory, from its last line behind `from`.
pub(super) fn agent(world: &mut World<'_>, what: &str, from: Mark) -> Result<()> {
    let lines = world.console()?.lines(from);
    let (seconds, memory) =
        lines.iter().rev().find_map(|line| last_words(&line.text)).with_context(|| {
            format!("no line of the agent with {:?} and its numbers", recipes::SWITCH_LINE)
        })?;
    world.report.add(&format!("{what}: agent, start to switch_root"), seconds, "s");
    world.report.add(&format!("{what}: agent, peak memory"), memory, "MiB");
    Ok(())
}

/// `… boot: switching to the system after 0.62 s, peak memory 9 MiB` → (0.62, 9).
fn last_words(line: &str) -> Option<(f64, f64)> {
    let (_, rest) = line.split_once(recipes::SWITCH_LINE)?;
    let (seconds, memory) = rest.strip_prefix(" after ")?.split_once(" s, peak memory ")?;
    Some((seconds.parse().ok()?, memory.strip_suffix(" MiB")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_last_words_are_read() {
        let line = "bascule [159.389] boot: switching to the system after 155.03 s, peak memory 9 MiB";
        assert_eq!(last_words(line), Some((155.03, 9.0)));
        assert_eq!(last_words("bascule [  1.000] boot: booting ha@1 from slot A"), None);
    }
}

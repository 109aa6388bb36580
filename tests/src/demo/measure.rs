//! Numbers of the demo, taken from what the programs print.

use anyhow::{Context, Result};
use serde_json::Value;

use super::recipes;
use super::world::World;
use crate::process::Output;
use crate::report::Report;
use crate::vm::Mark;

/// An unchanged image must be published in at most this part of the first time.
const UNCHANGED_PART: f64 = 0.1;

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

/// Publishes an image that is there already.
pub(super) fn unchanged_publish(world: &mut World<'_>, image: &str) -> Result<()> {
    let (_, output) = world.repo.publish(image)?;
    world.report.time(&format!("{image}: publish unchanged"), output.took);
    world.report.add("unchanged publish, aim: part of the first at most", UNCHANGED_PART, "");
    Ok(())
}

/// Bytes that a node with `from` fetches for `to`, as `imgtool diff` says.
pub(super) fn predicted(world: &World<'_>, from: &str, to: &str) -> Result<u64> {
    let (diff, _) = world.repo.run(&["diff", from, to])?;
    diff["fetch_bytes"]
        .as_u64()
        .with_context(|| format!("imgtool diff {from} {to}: no fetch_bytes in {diff}"))
}

/// The agent's own time and its peak memory, from its lines behind `from`.
pub(super) fn agent(world: &mut World<'_>, what: &str, from: Mark) -> Result<()> {
    let lines = world.console()?.lines(from);
    let times: Vec<(f64, &str)> = lines.iter().filter_map(|line| agent_line(&line.text)).collect();
    let last = times.iter().rposition(|(_, text)| text.contains(recipes::SWITCH_LINE));
    let last = last.with_context(|| format!("no line of the agent with {:?}", recipes::SWITCH_LINE))?;
    let first = times[..last]
        .iter()
        .rposition(|(_, text)| text.starts_with("imgagent ") && text.ends_with(" starts"));
    let first = first.context("no line of the agent that says that it starts")?;
    let took = times[last].0 - times[first].0;
    world.report.add(&format!("{what}: agent, start to switch_root"), took, "s");
    let memory = times.iter().filter_map(|(_, text)| peak_mib(text)).max();
    if let Some(memory) = memory {
        world.report.add(&format!("{what}: agent, peak memory"), memory as f64, "MiB");
    }
    Ok(())
}

/// `bascule [ 12.345] text` → (12.345, text).
fn agent_line(line: &str) -> Option<(f64, &str)> {
    let (_, rest) = line.split_once("bascule [")?;
    let (time, text) = rest.split_once("] ")?;
    Some((time.trim().parse().ok()?, text))
}

fn peak_mib(text: &str) -> Option<u64> {
    text.strip_prefix("memory: peak ")?.strip_suffix(" MiB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_lines_are_read() {
        assert_eq!(agent_line("bascule [  2.056] network: up"), Some((2.056, "network: up")));
        assert_eq!(agent_line("[    1.5] usb 1-1: new"), None);
        assert_eq!(peak_mib("memory: peak 31 MiB"), Some(31));
    }
}

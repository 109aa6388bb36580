//! `imgagent status`: what this node has, runs, and refuses.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use fleet_protocol::BootInfo;
use fleet_protocol::boot_info::BOOT_INFO_PATH;
use image_format::Slot;
use image_format::record::Record;
use image_format::state::SlotState;
use serde_json::{Value, json};

use crate::disk::BootDisk;
use crate::health::read_boot_info;

/// Prints the status, as a table or as JSON.
///
/// # Errors
/// Not booted by the agent, or the disk cannot be read.
pub fn run(as_json: bool) -> anyhow::Result<()> {
    let info = read_boot_info(Path::new(BOOT_INFO_PATH))?;
    let disk = BootDisk::open_path(Path::new(&info.disk_device))?;
    let record = disk.load_record().record.context("the boot record cannot be read")?;
    let text = if as_json { format!("{:#}\n", machine(&info, &record)) } else { table(&info, &record) };
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()).context("print the status")
}

/// State, attempts and remark of a slot, in words.
fn words(state: &SlotState) -> (&'static str, String, &str) {
    match state {
        SlotState::Empty => ("empty", "-".to_owned(), ""),
        SlotState::Writing { .. } => ("writing", "-".to_owned(), "interrupted or under way"),
        SlotState::Trial { attempts, left, .. } => ("trial", format!("{}/{attempts}", attempts - left), ""),
        SlotState::Confirmed { .. } => ("confirmed", "-".to_owned(), ""),
        SlotState::Bad { reason, .. } => ("bad", "-".to_owned(), reason),
    }
}

fn table(info: &BootInfo, record: &Record) -> String {
    let mut out = String::new();
    let group = info.group.as_ref().map_or("-", |group| group.as_str());
    let server = record.servers.delivery.as_deref().unwrap_or("-");
    let mut line =
        |text: String| writeln!(out, "{}", text.trim_end()).expect("writing to a string cannot fail");
    line(format!("node {}   group {group}   server {server}", info.node));
    line(String::new());
    line(format!("{:<9} {:<24} {:<10} {:<9} {}", "SLOT", "IMAGE", "STATE", "ATTEMPTS", "REMARK"));
    for slot in Slot::ALL {
        let state = record.state.slot(slot);
        let (word, attempts, remark) = words(state);
        let running = if slot == info.slot { "*" } else { "" };
        let preferred = if record.state.preferred() == Some(slot) { "+" } else { "" };
        let image = state.image().map_or_else(|| "-".to_owned(), |image| image.name.to_string());
        line(format!(
            "{:<9} {image:<24} {word:<10} {attempts:<9} {remark}",
            format!("{slot} {running}{preferred}")
        ));
    }
    line("* running   + preferred".to_owned());
    for entry in record.state.quarantine() {
        line(format!(
            "quarantine: {} ({}): {}",
            entry.image.name,
            entry.image.manifest.short(),
            entry.reason
        ));
    }
    if let Some(failure) = record.state.last_failure() {
        line(format!("last failure: {}: {}", failure.image.name, failure.reason));
    }
    out
}

fn machine(info: &BootInfo, record: &Record) -> Value {
    let slots = Slot::ALL.map(|slot| {
        let state = record.state.slot(slot);
        let (word, ..) = words(state);
        let (attempts, left) = match state {
            SlotState::Trial { attempts, left, .. } => (Some(attempts), Some(left)),
            _ => (None, None),
        };
        let reason = match state {
            SlotState::Bad { reason, .. } => Some(reason),
            _ => None,
        };
        json!({
            "slot": slot, "state": word, "image": state.image(), "attempts": attempts, "attempts_left": left, "reason": reason,
            "running": slot == info.slot, "preferred": record.state.preferred() == Some(slot),
        })
    });
    json!({
        "node": info.node, "group": info.group, "servers": record.servers, "slots": slots, "attempt": info.attempt,
        "quarantine": record.state.quarantine().collect::<Vec<_>>(), "last_failure": record.state.last_failure(),
    })
}

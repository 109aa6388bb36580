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

use crate::boot::verity::device_name;
use crate::disk::BootDisk;
use crate::health::read_boot_info;
use crate::identity;
use crate::sys::dm::Control;

/// Prints the status, as a table or as JSON.
///
/// # Errors
/// Not booted by the agent, or the disk cannot be read.
pub fn run(as_json: bool) -> anyhow::Result<()> {
    let info = read_boot_info(Path::new(BOOT_INFO_PATH))?;
    let disk = BootDisk::open_path(Path::new(&info.disk_device))?;
    let record = disk.load_record().record.context("the boot record cannot be read")?;
    let verity = verity(info.slot);
    let state = Path::new(identity::STATE);
    let text = match as_json {
        true => {
            let mut value = machine(&info, &record, &verity);
            value["key"] = json!(identity::public_key(state));
            value["enrolment"] = json!(identity::status(state));
            format!("{value:#}\n")
        }
        false => {
            let key = identity::describe(state).map(|line| format!("{line}\n")).unwrap_or_default();
            table(&info, &record, &verity) + &key
        }
    };
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()).context("print the status")
}

/// What the kernel has seen of the running root so far.
fn verity(slot: Slot) -> String {
    let status = Control::open()
        .map_err(anyhow::Error::new)
        .and_then(|control| Ok(control.status(&device_name(slot))?));
    match status.as_deref() {
        Ok("V") => "no corruption seen".to_owned(),
        Ok(other) => format!("state {other}"),
        Err(error) => format!("state unknown: {error:#}"),
    }
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

fn table(info: &BootInfo, record: &Record, verity: &str) -> String {
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
    line(format!("root: dm-verity, {verity}"));
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

fn machine(info: &BootInfo, record: &Record, verity: &str) -> Value {
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
        "verity": verity, "quarantine": record.state.quarantine().collect::<Vec<_>>(), "last_failure": record.state.last_failure(),
    })
}

#[cfg(test)]
mod tests {
    use image_format::manifest::Manifest;
    use image_format::state::BootState;
    use image_format::test_images;

    use super::*;

    fn example() -> (BootInfo, Record) {
        let (good, bad) = (test_images::image("ha@2", 2), test_images::image("ha@3", 3));
        let mut record = Record::default();
        record.state = BootState::rebuilt(vec![(Slot::B, good.clone())], 3);
        record.state.begin_install(Slot::A, &bad, None).unwrap();
        record.state.installed(Slot::A, 1).unwrap();
        record.state.begin_boot(Slot::A).unwrap();
        record.state.fail(Slot::A, "check haproxy: exit code 1").unwrap();
        record.state.roll_back(Slot::A).unwrap();
        let manifest: Manifest = test_images::manifest("ha@2", 2);
        let info = BootInfo {
            node: "52-54-00-12-34-56".parse().unwrap(),
            group: Some("cluster".parse().unwrap()),
            slot: Slot::B,
            image: good.name.clone(),
            manifest_digest: good.manifest,
            manifest,
            attempt: None,
            record_device: "/dev/vda3".to_owned(),
            disk_device: "/dev/vda".to_owned(),
            report_url: None,
            fetched_bytes: None,
        };
        (info, record)
    }

    #[test]
    fn the_table_says_what_runs_and_what_is_refused_and_why() {
        let (info, record) = example();
        let short = test_images::image("ha@3", 3).manifest.short();
        let expected = format!(
            "node 52-54-00-12-34-56   group cluster   server -\n\n\
             SLOT      IMAGE                    STATE      ATTEMPTS  REMARK\n\
             A         ha@3                     bad        -         check haproxy: exit code 1\n\
             B *+      ha@2                     confirmed  -\n\
             * running   + preferred\n\
             root: dm-verity, no corruption seen\n\
             quarantine: ha@3 ({short}): check haproxy: exit code 1\n\
             last failure: ha@3: check haproxy: exit code 1\n"
        );
        assert_eq!(table(&info, &record, "no corruption seen"), expected);
    }

    #[test]
    fn programs_get_the_same() {
        let (info, record) = example();
        let value = machine(&info, &record, "no corruption seen");
        assert_eq!(value["slots"][0]["state"], "bad");
        assert_eq!(value["slots"][1]["running"], true);
        assert_eq!(value["quarantine"][0]["image"]["name"], "ha@3");
    }
}

//! What is on a disk.

use std::io;

use super::table::{self, Entry};
use super::{ALIGN, Layout, Partition, foreign};
use crate::Slot;
use crate::device::{Device, SECTOR};

/// What was found on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The first and the last MiB are zero, or making our layout was begun there and not finished.
    Blank,
    /// Our layout.
    Bascule(Layout),
    /// Something else; the text says what.
    Foreign(String),
}

/// Looks at `disk`. Nothing is written.
///
/// # Errors
/// What the device says.
pub fn probe(disk: &dyn Device) -> io::Result<Found> {
    if disk.len() < 2 * ALIGN {
        return Ok(Found::Foreign(format!("{} bytes in all", disk.len())));
    }
    if table::is_marked(disk)? {
        return Ok(Found::Blank);
    }
    let first = disk.read_vec(0, ALIGN as usize)?;
    let last = disk.read_vec(disk.len() - ALIGN, ALIGN as usize)?;
    if first.iter().chain(&last).all(|byte| *byte == 0) {
        return Ok(Found::Blank);
    }
    match table::read(disk)? {
        Some(entries) => Ok(match recognise(disk.len(), &entries) {
            Some(layout) => Found::Bascule(layout),
            None => Found::Foreign(describe(&entries)),
        }),
        None => Ok(Found::Foreign(foreign::describe(disk, &first, &last)?)),
    }
}

/// The layout, if numbers, names, types, positions and sizes are all what [`Layout::plan`] makes.
fn recognise(disk_len: u64, entries: &[Entry]) -> Option<Layout> {
    let len = |entry: &Entry| {
        let sectors = entry.last_lba.checked_sub(entry.first_lba)?.checked_add(1)?;
        sectors.checked_mul(SECTOR)
    };
    let by_number = |wanted: Partition| entries.iter().find(|entry| entry.number == wanted.number());
    let slot_len = len(by_number(Partition::Slot(Slot::A))?)?;
    let state_len = len(by_number(Partition::State)?)?;
    let layout = Layout::checked(disk_len, slot_len, state_len)?;
    let fits = Partition::ALL.into_iter().all(|wanted| {
        let extent = layout.extent(wanted);
        by_number(wanted).is_some_and(|entry| {
            entry.name == wanted.name()
                && entry.type_guid.eq_ignore_ascii_case(wanted.type_guid())
                && entry.first_lba.checked_mul(SECTOR) == Some(extent.offset)
                && len(entry) == Some(extent.len)
        })
    });
    (fits && entries.len() == Partition::ALL.len()).then_some(layout)
}

fn describe(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "an empty GPT partition table".to_owned();
    }
    let shown: Vec<String> = entries
        .iter()
        .take(8)
        .map(|entry| {
            let mib = (entry.last_lba.saturating_sub(entry.first_lba).saturating_add(1)) / (ALIGN / SECTOR);
            let name: String = entry.name.chars().filter(|c| !c.is_control()).collect();
            format!("{} {name:?} ({mib} MiB)", entry.number)
        })
        .collect();
    let more = if entries.len() > shown.len() { ", …" } else { "" };
    format!("a GPT partition table with {} partitions: {}{more}", entries.len(), shown.join(", "))
}

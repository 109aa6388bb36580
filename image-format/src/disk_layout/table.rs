//! Writing and reading the partition table.

use std::io;
use std::ops::Range;

use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition_types::Type;
use gpt::{GptConfig, GptDisk};

use super::{ALIGN, Layout, Partition};
use crate::device::{self, Device, SECTOR, Stream};
use crate::{Slot, proof, record, slot_layout};

/// The marker of a layout that is being made: the last sector of the first MiB, behind the partition table.
const MARKER_OFFSET: u64 = ALIGN - SECTOR;
const MARKER: &[u8; 32] = b"bascule: layout is being written";

/// Most partition entries that a foreign table may claim: memory for them is taken before its checksum is known.
const ENTRIES_MAX: u32 = 1024;

/// Whether making the layout was begun and not finished.
pub(super) fn is_marked(disk: &dyn Device) -> io::Result<bool> {
    Ok(disk.read_vec(MARKER_OFFSET, MARKER.len())? == MARKER)
}

/// Makes the layout on `disk`. Everything that was on it is lost.
///
/// Beyond the table it invalidates what old content could be taken for: both record copies, both proof areas, the first MiB of
/// every other partition. Interrupted at any point, the disk counts as blank and this can be run again.
///
/// # Errors
/// What the device says.
pub fn write(disk: &dyn Device, layout: &Layout) -> io::Result<()> {
    let mut marker = [0; SECTOR as usize];
    marker[..MARKER.len()].copy_from_slice(MARKER);
    disk.write_at(&marker, MARKER_OFFSET)?;
    disk.flush()?;

    device::zero(disk, 0, MARKER_OFFSET)?;
    device::zero(disk, disk.len() - ALIGN, ALIGN)?;
    for partition in [Partition::Bios, Partition::Esp, Partition::State] {
        let extent = layout.extent(partition);
        device::zero(disk, extent.offset, ALIGN.min(extent.len))?;
    }
    let bios = layout.extent(Partition::Bios);
    device::zero(disk, bios.end() - SECTOR, SECTOR)?;
    let records = layout.open(disk, Partition::Record)?;
    record::erase(&records)?;
    for slot in Slot::ALL {
        let window = layout.open(disk, Partition::Slot(slot))?;
        if let Some(offset) = slot_layout::proof_offset(window.len()) {
            proof::invalidate(&window, offset)?;
        }
    }

    write_gpt(disk, layout)?;
    disk.flush()?;
    device::zero(disk, MARKER_OFFSET, SECTOR)?;
    disk.flush()
}

fn write_gpt(disk: &dyn Device, layout: &Layout) -> io::Result<()> {
    let failed = |error: gpt::GptError| io::Error::other(format!("partition table: {error}"));
    let sectors = u32::try_from(disk.len() / SECTOR - 1).unwrap_or(u32::MAX);
    let mut stream = Stream::new(disk, Vec::new());
    ProtectiveMBR::with_lb_size(sectors)
        .overwrite_lba0(&mut stream)
        .map_err(|error| io::Error::other(format!("protective MBR: {error}")))?;
    let mut gpt = GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512)
        .create_from_device(stream, None)
        .map_err(failed)?;
    for partition in Partition::ALL {
        let extent = layout.extent(partition);
        let kind = partition
            .type_guid()
            .parse::<Type>()
            .map_err(|error| io::Error::other(format!("partition type: {error}")))?;
        gpt.add_partition_at(
            partition.name(),
            partition.number(),
            extent.offset / SECTOR,
            extent.len / SECTOR,
            kind,
            0,
        )
        .map_err(failed)?;
    }
    gpt.write().map_err(failed).map(drop)
}

/// A partition as some table has it.
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) type_guid: String,
    pub(super) first_lba: u64,
    pub(super) last_lba: u64,
}

/// The entries of the first copy of the table whose header and entries are both sound; none without one.
pub(super) fn read(disk: &dyn Device) -> io::Result<Option<Vec<Entry>>> {
    let primary = SECTOR..2 * SECTOR;
    let backup = match disk.len() / SECTOR {
        0..3 => return Ok(None),
        sectors => (sectors - 1) * SECTOR..sectors * SECTOR,
    };
    let mut hidden: Vec<Range<u64>> = Vec::new();
    for header in [&primary, &backup] {
        if is_hazardous(&disk.read_vec(header.start, SECTOR as usize)?) {
            hidden.push(header.clone());
        }
    }
    let first = open(disk, hidden.clone());
    // The crate takes the backup when the primary header is bad, but not when only the primary's entries are.
    let gpt = first.or_else(|| {
        hidden.push(primary);
        open(disk, hidden)
    });
    Ok(gpt.map(|gpt| {
        let used = gpt.partitions().iter().filter(|(_, partition)| partition.is_used());
        used.map(|(number, partition)| Entry {
            number: *number,
            name: partition.name.clone(),
            type_guid: partition.part_type_guid.guid.to_string(),
            first_lba: partition.first_lba,
            last_lba: partition.last_lba,
        })
        .collect()
    }))
}

fn open(disk: &dyn Device, hidden: Vec<Range<u64>>) -> Option<GptDisk<Stream<'_>>> {
    GptConfig::new()
        .logical_block_size(LogicalBlockSize::Lb512)
        .open_from_device(Stream::new(disk, hidden))
        .ok()
}

/// Headers that the crate would panic on or take unbounded memory for: entries not of 128 bytes, or too many.
fn is_hazardous(header: &[u8]) -> bool {
    let field = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    header.starts_with(b"EFI PART") && (field(84) != 128 || field(80) > ENTRIES_MAX)
}

//! Chunks that are on the disk already.

use std::collections::HashMap;

use image_format::ChunkId;
use image_format::device::Device;
use image_format::index::{Entry, Index};

use super::error::{InstallError, Place};
use super::{Context, InstallStats, Old, Phase, Progress, Seed};

/// Zeros are compared and written in pieces of this many bytes.
const ZERO_STEP: usize = 256 << 10;

/// Writes every entry that a local source has, and gives the numbers of the others, ascending.
pub(super) fn copy(
    target: &dyn Device,
    index: &Index,
    resume: bool,
    old: Option<&Old>,
    seeds: &[Seed<'_>],
    context: &mut Context<'_>,
    stats: &mut InstallStats,
) -> Result<Vec<usize>, InstallError> {
    let in_place = |offset: u64, entry: &Entry, places: &Places<'_>| {
        resume || places.old.get(&entry.chunk).is_some_and(|old| old.contains(&offset))
    };
    let places = Places::of(target, old, seeds);
    let mut missing = Vec::new();
    let mut buffer = Vec::new();
    for (number, (offset, entry)) in index.iter_at().enumerate() {
        let len = u64::from(entry.plain_len);
        if entry.is_zero() {
            write_zeros(target, offset, len)?;
            stats.zero_bytes += len;
        } else if in_place(offset, entry, &places) && holds(target, offset, entry, &mut buffer) {
            stats.in_place_bytes += len;
        } else if places.find(entry, &mut buffer, stats) {
            target.write_at(&buffer, offset).map_err(InstallError::io(Place::Root, offset))?;
            stats.seed_bytes += len;
        } else {
            missing.push(number);
        }
        (context.progress)(Progress { phase: Phase::Local, done: offset + len, total: index.plain_size() });
    }
    Ok(missing)
}

/// Where chunks lie.
struct Places<'a> {
    target: &'a dyn Device,
    /// In the old content of the target; overwritten bit by bit, so each find is a guess until it is hashed.
    old: HashMap<ChunkId, Vec<u64>>,
    seeds: Vec<(&'a dyn Device, HashMap<ChunkId, u64>)>,
}

impl<'a> Places<'a> {
    fn of(target: &'a dyn Device, old: Option<&Old>, seeds: &[Seed<'a>]) -> Self {
        let chunks = |index: &'a Index| index.iter_at().filter(|(_, entry)| !entry.is_zero());
        let mut places: HashMap<ChunkId, Vec<u64>> = HashMap::new();
        for (offset, entry) in old.iter().flat_map(|old| old.index.iter_at()) {
            if !entry.is_zero() {
                places.entry(entry.chunk).or_default().push(offset);
            }
        }
        let map = |seed: &Seed<'a>| chunks(seed.index).map(|(offset, entry)| (entry.chunk, offset)).collect();
        let seeds = seeds.iter().map(|seed| (seed.device, map(seed))).collect();
        Self { target, old: places, seeds }
    }

    /// Whether `buffer` now holds the bytes of `entry`.
    fn find(&self, entry: &Entry, buffer: &mut Vec<u8>, stats: &mut InstallStats) -> bool {
        for (device, chunks) in &self.seeds {
            if let Some(offset) = chunks.get(&entry.chunk) {
                if holds(*device, *offset, entry, buffer) {
                    return true;
                }
                stats.seed_mismatches += 1;
            }
        }
        let old = self.old.get(&entry.chunk).into_iter().flatten();
        old.copied().any(|offset| holds(self.target, offset, entry, buffer))
    }
}

/// Reads the bytes at `offset` and says whether they are `entry`'s. What cannot be read is not there.
fn holds(device: &dyn Device, offset: u64, entry: &Entry, buffer: &mut Vec<u8>) -> bool {
    buffer.resize(entry.plain_len as usize, 0);
    device.read_at(buffer, offset).is_ok() && ChunkId::of(buffer) == entry.chunk
}

/// Zeros are read first: on a new disk they are there, and a sparse or flash disk is spared the writing.
fn write_zeros(target: &dyn Device, start: u64, len: u64) -> Result<(), InstallError> {
    let zeros = [0; 4096];
    let mut buffer = vec![0; ZERO_STEP.min(len as usize)];
    let mut offset = start;
    while offset < start + len {
        let step = (start + len - offset).min(buffer.len() as u64) as usize;
        let piece = &mut buffer[..step];
        let blank = target.read_at(piece, offset).is_ok()
            && piece.chunks(zeros.len()).all(|block| *block == zeros[..block.len()]);
        if !blank {
            piece.fill(0);
            target.write_at(piece, offset).map_err(InstallError::io(Place::Root, offset))?;
        }
        offset += step as u64;
    }
    Ok(())
}

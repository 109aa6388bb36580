//! Where chunks lie.

use std::collections::HashMap;

use image_format::ChunkId;
use image_format::device::Device;
use image_format::index::{Entry, Index};

use super::super::{Seed, Task};

/// A place that may hold a chunk. It is a guess until it is hashed.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) device: &'a dyn Device,
    pub(super) offset: u64,
    /// Where the chunk is to be.
    pub(super) in_place: bool,
    pub(super) is_seed: bool,
}

/// All places.
pub(super) struct Places<'a> {
    target: &'a dyn Device,
    /// Whatever lies in the target may be right where it lies.
    resume: bool,
    /// In the old content of the target.
    old: HashMap<ChunkId, Vec<u64>>,
    seeds: Vec<(&'a dyn Device, HashMap<ChunkId, u64>)>,
    /// Where chunks of the target's old content stay where they are, ascending.
    stays: Vec<u64>,
}

impl<'a> Places<'a> {
    pub(super) fn of(task: &Task<'a>) -> Self {
        let Task { target, index, old, seeds, .. } = *task;
        let mut places: HashMap<ChunkId, Vec<u64>> = HashMap::new();
        for (offset, entry) in old.iter().flat_map(|old| old.index.iter_at()) {
            if !entry.is_zero() {
                places.entry(entry.chunk).or_default().push(offset);
            }
        }
        let chunks = |index: &'a Index| index.iter_at().filter(|(_, entry)| !entry.is_zero());
        let map = |seed: &Seed<'a>| chunks(seed.index).map(|(offset, entry)| (entry.chunk, offset)).collect();
        let seeds = seeds.iter().map(|seed| (seed.device, map(seed))).collect();
        let stays = |(offset, entry): &(u64, &Entry)| {
            places.get(&entry.chunk).is_some_and(|offsets| offsets.contains(offset))
        };
        let stays = index.iter_at().filter(stays).map(|(offset, _)| offset).collect();
        Self { target, resume: task.job.resume, old: places, seeds, stays }
    }

    /// Where to look first for what belongs to `offset` of the target, in a piece that begins at `start`.
    pub(super) fn first(&self, start: u64, offset: u64, entry: &Entry) -> Option<(&'a dyn Device, u64)> {
        if entry.is_zero() {
            return Some((self.target, offset));
        }
        self.all(start, offset, entry).next().map(|place| (place.device, place.offset))
    }

    /// Where to look for a chunk, the best place first.
    ///
    /// Pieces are written in order: what lies in the target before `start` may have been overwritten by now, or may not,
    /// except for what stays.
    pub(super) fn all(&self, start: u64, offset: u64, entry: &Entry) -> impl Iterator<Item = Place<'a>> {
        let here = |offset, in_place| Place { device: self.target, offset, in_place, is_seed: false };
        let old = self.old.get(&entry.chunk).map_or(&[][..], Vec::as_slice);
        let in_place = (self.resume || old.contains(&offset)).then(|| here(offset, true));
        let chunk = entry.chunk;
        let seeds = self.seeds.iter().filter_map(move |(device, chunks)| {
            let offset = *chunks.get(&chunk)?;
            Some(Place { device: *device, offset, in_place: false, is_seed: true })
        });
        let is_safe = move |place: &&u64| **place >= start || self.stays.binary_search(place).is_ok();
        let elsewhere = old.iter().filter(move |place| **place != offset).filter(is_safe);
        in_place.into_iter().chain(seeds).chain(elsewhere.map(move |place| here(*place, false)))
    }
}

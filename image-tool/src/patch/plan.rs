//! What goes into which segment, and which old bytes stand before it. No input or output.
//!
//! A patch has the entries of the new image that the old one lacks, in the order of their places, so that files of one directory
//! stand together. To each belong the old contents of the files that it holds parts of: all of a small file, of a large one what
//! lies where its neighbours were found again. A segment ends when it would exceed its limits.

use std::collections::{HashMap, HashSet};

use image_format::index::{Entry, Index};
use image_format::patch::{BlockRange, EntryRun};
use image_format::{BLOCK, ChunkId};

use super::choose::Choice;
use super::files::{FileMap, Placed};
use super::ranges::Ranges;

/// Largest segments, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Plain bytes of a segment.
    pub(super) plain: u64,
    /// Bytes of the base that it builds on.
    pub(super) base: u64,
}

/// Old files of at most this many blocks are taken whole: 4 MiB.
const WHOLE_MAX: u32 = 1024;
/// Blocks taken before and behind the place in a larger file: 1 MiB.
const MARGIN: u32 = 256;
/// Entries looked at, in each direction, to find where a large file's contents were.
const LOOK: usize = 64;

/// A segment to be made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Job {
    /// What stands before it.
    pub(super) base: Vec<BlockRange>,
    /// Numbers of the entries that it holds, ascending.
    pub(super) entries: Vec<u32>,
}

impl Job {
    /// The same as runs.
    pub(super) fn runs(&self) -> Vec<EntryRun> {
        let mut runs: Vec<EntryRun> = Vec::new();
        for number in &self.entries {
            match runs.last_mut() {
                Some(run) if run.first + run.count == *number => run.count += 1,
                _ => runs.push(EntryRun { first: *number, count: 1 }),
            }
        }
        runs
    }

    /// Two jobs for the halves of its entries; none if it has only one.
    pub(super) fn split(&self) -> Option<[Self; 2]> {
        let (front, back) = self.entries.split_at(self.entries.len() / 2);
        let half = |entries: &[u32]| Self { base: self.base.clone(), entries: entries.to_vec() };
        (!front.is_empty()).then(|| [half(front), half(back)])
    }
}

/// An image as the plan sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<'i> {
    pub(super) index: &'i Index,
    pub(super) files: &'i FileMap,
}

/// The whole stream of an image: every chunk once.
pub(super) fn stream(target: &Index, limits: Limits) -> Vec<Job> {
    let mut segments = Segments::new(limits);
    for (number, entry, _) in lacking(target, &HashSet::new()) {
        segments.add(number, entry, &[]);
    }
    segments.finish()
}

/// The patch from one image to another: every chunk that the old one lacks, once.
pub(super) fn patch(target: Side<'_>, base: Side<'_>, limits: Limits) -> Vec<Job> {
    let known = places(base.index);
    let relatives =
        Relatives { target, known: &known, choice: Choice::new(base.files), places: at(target.index) };
    let mut segments = Segments::new(limits);
    let have = known.keys().copied().collect();
    for (number, entry, blocks) in lacking(target.index, &have) {
        segments.add(number, entry, &relatives.of(number as usize, blocks));
    }
    segments.finish()
}

/// Entries of chunks that are not in `have`, each chunk once: number, entry, place.
fn lacking<'i>(
    index: &'i Index,
    have: &HashSet<ChunkId>,
) -> impl Iterator<Item = (u32, &'i Entry, BlockRange)> {
    let mut seen = HashSet::new();
    let is_wanted =
        move |entry: &Entry| !entry.is_zero() && !have.contains(&entry.chunk) && seen.insert(entry.chunk);
    let mut is_wanted = is_wanted;
    at(index)
        .into_iter()
        .zip(index.entries())
        .zip(0..)
        .filter(move |((_, entry), _)| is_wanted(entry))
        .map(|((blocks, entry), number)| (number, entry, blocks))
        .collect::<Vec<_>>()
        .into_iter()
}

/// Where each entry lies.
fn at(index: &Index) -> Vec<BlockRange> {
    let blocks = |(start, entry): (u64, &Entry)| BlockRange {
        first: (start / BLOCK) as u32,
        count: u64::from(entry.plain_len).div_ceil(BLOCK) as u32,
    };
    index.iter_at().map(blocks).collect()
}

/// Where each chunk lies first.
fn places(index: &Index) -> HashMap<ChunkId, BlockRange> {
    let mut places = HashMap::new();
    for (entry, blocks) in index.entries().iter().zip(at(index)) {
        if !entry.is_zero() {
            places.entry(entry.chunk).or_insert(blocks);
        }
    }
    places
}

/// Finds old bytes for new ones.
struct Relatives<'i> {
    target: Side<'i>,
    /// Where the base has its chunks.
    known: &'i HashMap<ChunkId, BlockRange>,
    choice: Choice<'i>,
    /// Where the target has its entries.
    places: Vec<BlockRange>,
}

impl Relatives<'_> {
    /// The blocks of the base that the entry may be like.
    fn of(&self, number: usize, blocks: BlockRange) -> Vec<BlockRange> {
        let files = self.target.files.within(blocks).iter();
        files.filter_map(|file| Some(self.in_file(number, blocks, file, self.choice.of(file)?))).collect()
    }

    fn in_file(&self, number: usize, blocks: BlockRange, file: &Placed, old: &Placed) -> BlockRange {
        if old.blocks.count <= WHOLE_MAX {
            return old.blocks;
        }
        let start = blocks.first.max(file.blocks.first);
        let end = (blocks.first + blocks.count).min(file.end());
        let place = self.anchor(number, start, file, old).unwrap_or_else(|| {
            let offset = u64::from(start - file.blocks.first) * u64::from(old.blocks.count);
            old.blocks.first + (offset / u64::from(file.blocks.count)) as u32
        });
        let first = place.saturating_sub(MARGIN).clamp(old.blocks.first, old.end() - 1);
        let end = (place.saturating_add(end - start + MARGIN)).clamp(first + 1, old.end());
        BlockRange { first, count: end - first }
    }

    /// Where `start` would be in the old file, if it lay to the nearest chunk that both have as it lies now.
    fn anchor(&self, number: usize, start: u32, file: &Placed, old: &Placed) -> Option<u32> {
        let before = (number.saturating_sub(LOOK)..number).rev();
        let behind = number + 1..(number + 1 + LOOK).min(self.places.len());
        let found = |other: usize| {
            let here = self.places[other];
            let there = self.known.get(&self.target.index.entries()[other].chunk)?;
            let is_inside = |range: &BlockRange, file: &Placed| {
                file.blocks.first <= range.first && range.first + range.count <= file.end()
            };
            (is_inside(&here, file) && is_inside(there, old)).then(|| {
                let place = i64::from(there.first) + i64::from(start) - i64::from(here.first);
                place.clamp(old.blocks.first.into(), old.end().into()) as u32
            })
        };
        before.into_iter().find_map(found).or_else(|| behind.into_iter().find_map(found))
    }
}

/// Fills segments one after the other.
struct Segments {
    limits: Limits,
    done: Vec<Job>,
    entries: Vec<u32>,
    plain: u64,
    base: Ranges,
}

impl Segments {
    fn new(limits: Limits) -> Self {
        Self { limits, done: Vec::new(), entries: Vec::new(), plain: 0, base: Ranges::default() }
    }

    fn add(&mut self, number: u32, entry: &Entry, base: &[BlockRange]) {
        let len = u64::from(entry.plain_len);
        let mut with = self.base.clone();
        base.iter().for_each(|range| with.add(*range));
        if self.plain + len > self.limits.plain || with.blocks() * BLOCK > self.limits.base {
            self.close();
            with = Ranges::default();
            for range in base {
                let room = (self.limits.base / BLOCK).saturating_sub(with.blocks());
                // Room for a part of it, if one entry alone is like more than there is room for.
                with.add(BlockRange { count: range.count.min(room as u32), ..*range });
            }
        }
        self.base = with;
        self.plain += len;
        self.entries.push(number);
    }

    fn close(&mut self) {
        let (entries, base) = (std::mem::take(&mut self.entries), std::mem::take(&mut self.base));
        self.plain = 0;
        if !entries.is_empty() {
            self.done.push(Job { base: base.into_vec(), entries });
        }
    }

    fn finish(mut self) -> Vec<Job> {
        self.close();
        self.done
    }
}

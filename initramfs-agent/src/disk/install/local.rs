//! Chunks that are on the disk already.

mod places;

use std::collections::HashMap;

use image_format::ChunkId;
use image_format::device::{Device, Hint};
use image_format::index::{Entry, Index};

use self::places::Places;
use super::error::InstallError;
use super::turns::{Turns, threads};
use super::writer::{Runs, Writer};
use super::{Context, InstallStats, News, Phase, Progress, Task};

/// Bytes of the target that are looked at as one piece; in tests so few that small images have several.
const SPAN: usize = if cfg!(test) { 32 << 10 } else { 1 << 20 };

/// How many pieces ahead a disk is told what will be read.
const AHEAD: usize = 6;

/// Writes every entry that a local source has, and gives the numbers of the others, ascending.
pub(super) fn copy(
    task: &Task<'_>,
    context: &mut Context<'_>,
    stats: &mut InstallStats,
) -> Result<Vec<usize>, InstallError> {
    let Task { target, index, .. } = *task;
    let items = Item::all(index);
    let pieces = Item::pieces(&items);
    let local = Local { index, items, pieces, places: Places::of(task) };
    let turns = Turns::new(Found { writer: Writer::new(target), missing: Vec::new(), stats: *stats });
    std::thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(|| local.work(&turns));
        }
        let mut seen = 0;
        while seen < local.pieces.len() && !turns.is_stopped() {
            seen = turns.wait_beyond(seen);
            let done = local.end_of(seen);
            (context.progress)(News::Progress(Progress {
                phase: Phase::Local,
                done,
                total: index.plain_size(),
            }));
        }
    });
    let found = turns.finish()?;
    *stats = found.stats;
    let Found { mut writer, missing, .. } = found;
    copy_repeated(target, &mut writer, index, missing, stats)
}

/// A chunk that the image has twice may be there once: where one was lost in a cut, the other may do.
fn copy_repeated(
    target: &dyn Device,
    writer: &mut Writer<'_>,
    index: &Index,
    missing: Vec<usize>,
    stats: &mut InstallStats,
) -> Result<Vec<usize>, InstallError> {
    let mut wanted: HashMap<ChunkId, Option<u64>> =
        missing.iter().map(|number| (index.entries()[*number].chunk, None)).collect();
    let mut is_missing = missing.iter().copied().peekable();
    let mut offsets = Vec::with_capacity(missing.len());
    for (number, (offset, entry)) in index.iter_at().enumerate() {
        if is_missing.next_if_eq(&number).is_some() {
            offsets.push(offset);
        } else if let Some(place) = wanted.get_mut(&entry.chunk) {
            place.get_or_insert(offset);
        }
    }
    let mut buffer = Vec::new();
    let mut still = Vec::new();
    for (number, offset) in missing.into_iter().zip(offsets) {
        let entry = &index.entries()[number];
        let place = wanted.get(&entry.chunk).copied().flatten();
        buffer.resize(entry.plain_len as usize, 0);
        if place.is_some_and(|place| holds(target, place, entry, &mut buffer)) {
            writer.write(&buffer, offset)?;
            stats.seed_bytes += u64::from(entry.plain_len);
        } else {
            still.push(number);
        }
    }
    Ok(still)
}

/// What is only touched in turn.
struct Found<'a> {
    writer: Writer<'a>,
    missing: Vec<usize>,
    stats: InstallStats,
}

/// An entry, or a part of a long zero entry.
#[derive(Clone, Copy)]
struct Item {
    number: u32,
    len: u32,
    offset: u64,
}

impl Item {
    fn all(index: &Index) -> Vec<Self> {
        let mut items = Vec::with_capacity(index.entries().len());
        for (number, (offset, entry)) in index.iter_at().enumerate() {
            let end = offset + u64::from(entry.plain_len);
            let mut at = offset;
            while at < end {
                let len = (end - at).min(SPAN as u64);
                // An index has fewer than 2^32 entries, and SPAN is small.
                items.push(Self { number: number as u32, len: len as u32, offset: at });
                at += len;
            }
        }
        items
    }

    /// Ends of runs of items of at most [`SPAN`] bytes.
    fn pieces(items: &[Self]) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut len = 0;
        for (position, item) in items.iter().enumerate() {
            if len + item.len as usize > SPAN {
                ends.push(position);
                len = 0;
            }
            len += item.len as usize;
        }
        ends.push(items.len());
        ends
    }
}

struct Local<'a> {
    index: &'a Index,
    items: Vec<Item>,
    /// Where each piece ends in `items`.
    pieces: Vec<usize>,
    places: Places<'a>,
}

/// What a thread keeps from piece to piece.
struct Hands {
    buffer: Vec<u8>,
    runs: Runs,
    missing: Vec<usize>,
}

/// Bytes of a piece by where they came from.
#[derive(Default)]
struct Tally {
    zero: u64,
    in_place: u64,
    seed: u64,
    mismatches: u64,
}

impl Local<'_> {
    fn piece(&self, number: usize) -> &[Item] {
        let start = if number == 0 { 0 } else { self.pieces[number - 1] };
        &self.items[start..self.pieces[number]]
    }

    /// Where the first `count` pieces end in the target.
    fn end_of(&self, count: usize) -> u64 {
        let last = count.checked_sub(1).and_then(|last| self.items[..self.pieces[last]].last());
        last.map_or(0, |item| item.offset + u64::from(item.len))
    }

    fn work(&self, turns: &Turns<Found<'_>>) {
        let _guard = turns.guard();
        let mut hands = Hands { buffer: vec![0; SPAN], runs: Runs::default(), missing: Vec::new() };
        for number in turns.claim(self.pieces.len()) {
            if let Some(later) = (number + AHEAD < self.pieces.len()).then(|| self.piece(number + AHEAD)) {
                self.reads(later, |device, from, range| {
                    device.hint(Hint::Read, from, range.len() as u64);
                    true
                });
            }
            let tally = self.look(self.piece(number), &mut hands);
            turns.take(number, |found| {
                hands.runs.write(&hands.buffer, &mut found.writer)?;
                found.missing.extend_from_slice(&hands.missing);
                found.stats.zero_bytes += tally.zero;
                found.stats.in_place_bytes += tally.in_place;
                found.stats.seed_bytes += tally.seed;
                found.stats.seed_mismatches += tally.mismatches;
                Ok(())
            });
        }
    }

    /// Passes on what is to be read for a piece, neighbours as one: device, offset there, range of the buffer. Where `read` says
    /// that it cannot be read, each of the neighbours is tried.
    fn reads(&self, items: &[Item], mut read: impl FnMut(&dyn Device, u64, std::ops::Range<usize>) -> bool) {
        let Some(start) = items.first().map(|item| item.offset) else { return };
        let mut rest = items;
        while let Some(first) = rest.first() {
            let at = (first.offset - start) as usize;
            let Some((device, from)) = self.places.first(start, first.offset, self.entry(first)) else {
                rest = &rest[1..];
                continue;
            };
            let mut end = at + first.len as usize;
            let mut count = 1;
            for next in &rest[1..] {
                let expected = from + (end - at) as u64;
                match self.places.first(start, next.offset, self.entry(next)) {
                    Some((other, found)) if std::ptr::addr_eq(other, device) && found == expected => {
                        end += next.len as usize;
                        count += 1;
                    }
                    _ => break,
                }
            }
            if !read(device, from, at..end) && count > 1 {
                let mut from = from;
                for item in &rest[..count] {
                    let at = (item.offset - start) as usize;
                    let _unreadable_is_not_there = read(device, from, at..at + item.len as usize);
                    from += u64::from(item.len);
                }
            }
            rest = &rest[count..];
        }
    }

    fn entry(&self, item: &Item) -> &Entry {
        &self.index.entries()[item.number as usize]
    }

    /// Reads and hashes a piece; says in `hands` what of it is to be written, and what is missing.
    fn look(&self, items: &[Item], hands: &mut Hands) -> Tally {
        let mut tally = Tally::default();
        let Hands { buffer, runs, missing } = hands;
        runs.clear();
        missing.clear();
        let Some(start) = items.first().map(|item| item.offset) else { return tally };
        // What cannot be read holds nothing: the buffer then has older bytes, which do not match either, and zeros are written.
        let mut unreadable = Vec::new();
        self.reads(items, |device, from, range| {
            let read = device.read_at(&mut buffer[range.clone()], from).is_ok();
            if !read {
                unreadable.push(range);
            }
            read
        });
        let lost = |range: &std::ops::Range<usize>| unreadable.contains(range);
        for item in items {
            let at = (item.offset - start) as usize;
            let range = at..at + item.len as usize;
            let entry = self.entry(item);
            let len = u64::from(item.len);
            if entry.is_zero() {
                tally.zero += len;
                if lost(&range) || !is_zero(&buffer[range.clone()]) {
                    buffer[range.clone()].fill(0);
                    runs.add(item.offset, range);
                }
                continue;
            }
            let mut places = self.places.all(start, item.offset, entry);
            let first = places.next();
            let found =
                first.is_some() && !lost(&range) && ChunkId::of(&buffer[range.clone()]) == entry.chunk;
            let mut place = first.filter(|_| found);
            if let Some(first) = first.filter(|_| !found) {
                tally.mismatches += u64::from(first.is_seed);
                for next in places {
                    if holds(next.device, next.offset, entry, &mut buffer[range.clone()]) {
                        place = Some(next);
                        break;
                    }
                    tally.mismatches += u64::from(next.is_seed);
                }
            }
            match place {
                Some(place) if place.in_place => tally.in_place += len,
                Some(_) => {
                    tally.seed += len;
                    runs.add(item.offset, range);
                }
                None => missing.push(item.number as usize),
            }
        }
        tally
    }
}

/// Reads the bytes at `offset` and says whether they are `entry`'s. What cannot be read is not there.
fn holds(device: &dyn Device, offset: u64, entry: &Entry, buffer: &mut [u8]) -> bool {
    device.read_at(buffer, offset).is_ok() && ChunkId::of(buffer) == entry.chunk
}

/// Zeros are read first: on a new disk they are there, and a sparse or flash disk is spared the writing.
fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|block| *block == ZEROS[..block.len()])
}

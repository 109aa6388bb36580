//! Segments from the server: of a patch, which build on what a seed holds, or of the whole stream.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use image_format::device::{Device, Hint};
use image_format::index::{CHUNK_MAX, Index};
use image_format::patch::{Segment, WINDOW_LOG, decode_segment};
use image_format::{BLOCK, ObjectId};

use super::budget::{Budget, Share};
use super::chunks::{Arrived, check_plain, place};
use super::error::InstallError;
use super::missing::Missing;
use super::source::Stopped;
use super::turns::{Turns, threads};
use super::ways::{Table, Way};
use super::writer::{Runs, Writer};
use super::{Context, InstallStats, News, Phase, Progress, Task};

/// Most stored bytes of one request.
const REQUEST_BYTES: u64 = 32 << 20;
/// Most segments of one request: their numbers travel in its URL.
const REQUEST_SEGMENTS: usize = 512;
/// Memory for the segments that arrive, wait and are decoded: the frames, the bytes that they build on, and their windows.
const MEMORY: u64 = 34 << 20;
/// Threads that decode: for more there is no memory, and each keeps what it had.
const DECODERS: usize = 2;
/// Window of a segment that decodes to more than the largest window, as a power of two.
const STREAM_WINDOW_LOG: u32 = 23;
/// Decoded bytes that a thread holds until it is its turn to write; in tests so few that small segments have several.
const HELD: usize = if cfg!(test) { 12 << 10 } else { 1 << 20 };

/// A way by segments.
#[derive(Clone, Copy)]
pub(super) struct Road<'a> {
    pub(super) way: Way,
    pub(super) table: &'a Table,
    /// The slot whose root image the segments build on.
    pub(super) base: Option<&'a dyn Device>,
}

/// Fetches the segments `wanted` (ascending) and writes what of them is open in `missing`. What comes out wrong stays missing, and the
/// first reason is given.
pub(super) fn fetch(
    task: &Task<'_>,
    road: Road<'_>,
    wanted: &[usize],
    missing: &mut Missing,
    context: &mut Context<'_>,
    stats: &mut InstallStats,
) -> Result<Option<InstallError>, InstallError> {
    let Task { target, index, .. } = *task;
    let segments = road.table.segments.segments();
    let total = wanted.iter().map(|number| u64::from(segments[*number].stored_len)).sum();
    let needed = Needed::of(segments, wanted, index, missing);
    let arrived = Arrived { writer: Writer::new(target), missing, stats, wrong: None };
    let turns = Turns::new(arrived);
    let budget = Budget::new(MEMORY);
    // Memory is bounded by the budget; the channel may hold whatever that lets in.
    let (frames, waiting) = sync_channel(wanted.len().clamp(1, 1 << 10));
    let workshop = Workshop { index, road, needed, waiting: Mutex::new(waiting) };
    let received = std::thread::scope(|scope| {
        for _ in 0..threads().min(DECODERS) {
            scope.spawn(|| workshop.work(&turns));
        }
        let mut collector = Collector {
            segments,
            budget: &budget,
            frames,
            frame: None,
            expected: wanted,
            done: 0,
            next: 0,
            disorder: None,
        };
        let mut bytes = 0;
        let mut rest = wanted;
        loop {
            if rest.is_empty() || turns.is_stopped() {
                break Ok(());
            }
            let (batch, behind) = rest.split_at(batch_len(segments, rest));
            rest = behind;
            collector.expected = batch;
            collector.done = 0;
            let mut sink = |number: usize, offset: u64, piece: &[u8]| {
                if turns.is_stopped() {
                    return Err(Stopped);
                }
                bytes += piece.len() as u64;
                (context.progress)(News::Progress(Progress {
                    phase: Phase::Fetch,
                    done: bytes.min(total),
                    total,
                }));
                collector.take(number, offset, piece)
            };
            let table = &road.table;
            let fetched = context.source.fetch_segments(&table.object, &table.segments, batch, &mut sink);
            if let Some(error) = collector.disorder.take() {
                break Err(error);
            }
            if let Err(source) = fetched {
                let what = format!("{} segments of the {}", batch.len(), road.way);
                break Err(InstallError::Source { what, source });
            }
            if collector.due().is_some() {
                break Err(collector.disordered("the end".to_owned()));
            }
        }
    });
    let arrived = turns.finish()?;
    received.map(|()| arrived.wrong)
}

fn batch_len(segments: &[Segment], wanted: &[usize]) -> usize {
    let mut bytes = 0;
    let fits = wanted.iter().take(REQUEST_SEGMENTS).take_while(|number| {
        bytes += u64::from(segments[**number].stored_len);
        bytes <= REQUEST_BYTES
    });
    fits.count().max(1)
}

/// A segment on its way to be decoded: its place in the order of `wanted`, and its bytes.
struct Frame<'b> {
    turn: usize,
    segment: usize,
    stored: Vec<u8>,
    share: Share<'b>,
}

/// Puts pieces together to segments.
struct Collector<'a, 'b> {
    segments: &'a [Segment],
    budget: &'b Budget,
    frames: SyncSender<Frame<'b>>,
    frame: Option<Frame<'b>>,
    /// What this request asked for, and how many of them came.
    expected: &'a [usize],
    done: usize,
    next: usize,
    disorder: Option<InstallError>,
}

impl Collector<'_, '_> {
    /// The segment that has not come as a whole.
    fn due(&self) -> Option<usize> {
        self.expected.get(self.done).copied()
    }

    fn disordered(&self, found: String) -> InstallError {
        let due = self.due().map_or("nothing more".to_owned(), |number| format!("all of segment {number}"));
        InstallError::Order { what: "segments", expected: due, found }
    }

    fn take(&mut self, number: usize, offset: u64, piece: &[u8]) -> Result<(), Stopped> {
        let here = self.frame.as_ref().map_or(0, |frame| frame.stored.len() as u64);
        let is_due = self.due() == Some(number) && (offset == 0 || offset == here);
        let Some(segment) = self.segments.get(number).filter(|_| is_due) else {
            self.disorder = Some(self.disordered(format!("byte {offset} of segment {number}")));
            return Err(Stopped);
        };
        if offset == 0 {
            self.frame = None;
            let share = self.budget.take(memory_for(segment));
            let stored = Vec::with_capacity(segment.stored_len as usize);
            self.frame = Some(Frame { turn: self.next, segment: number, stored, share });
        }
        let Some(frame) = self.frame.as_mut() else { return Err(Stopped) };
        frame.stored.extend_from_slice(piece);
        if frame.stored.len() >= segment.stored_len as usize
            && let Some(frame) = self.frame.take()
        {
            self.next += 1;
            self.done += 1;
            // The receiving end lives as long as this one.
            let _never_refused = self.frames.send(frame);
        }
        Ok(())
    }
}

/// What a segment takes until it is decoded: its frame, its base, and a window as large as what comes out, or 8 MiB where that is more
/// than the largest window.
fn memory_for(segment: &Segment) -> u64 {
    let plain = u64::from(segment.plain_len);
    let window = if plain > 1 << WINDOW_LOG { 1 << STREAM_WINDOW_LOG } else { plain };
    u64::from(segment.stored_len) + segment.base_len() + window
}

/// Which entries of the wanted segments are of use, so that threads need not ask each other.
struct Needed(Vec<bool>);

impl Needed {
    fn of(segments: &[Segment], wanted: &[usize], index: &Index, missing: &Missing) -> Self {
        let mut needed = vec![false; index.entries().len()];
        for entry in wanted.iter().flat_map(|number| segments[*number].entry_numbers()) {
            needed[entry] = missing.open(entry).is_some();
        }
        Self(needed)
    }
}

struct Workshop<'a, 'b> {
    index: &'a Index,
    road: Road<'a>,
    needed: Needed,
    waiting: Mutex<Receiver<Frame<'b>>>,
}

/// What a thread keeps from segment to segment.
struct Hands {
    prefix: Vec<u8>,
    plain: Vec<u8>,
    /// Entries whose bytes are whole and right, and where they lie in `plain`.
    done: Vec<(usize, std::ops::Range<usize>)>,
    runs: Runs,
}

impl Workshop<'_, '_> {
    fn work(&self, turns: &Turns<Arrived<'_>>) {
        let _guard = turns.guard();
        let mut hands = Hands {
            prefix: Vec::new(),
            plain: Vec::with_capacity(HELD + CHUNK_MAX as usize),
            done: Vec::new(),
            runs: Runs::default(),
        };
        loop {
            let frame = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(frame) = frame else { return };
            if !turns.is_stopped() {
                self.apply(&frame, &mut hands, turns);
            }
            drop(frame.share);
        }
    }

    fn apply(&self, frame: &Frame<'_>, hands: &mut Hands, turns: &Turns<Arrived<'_>>) {
        let segment = &self.road.table.segments.segments()[frame.segment];
        let wrong = self.decode(frame, segment, hands, turns).err();
        turns.take(frame.turn, |arrived| {
            hands.write(arrived)?;
            arrived.stats.segment(self.road.way, frame.stored.len() as u64);
            if let Some(error) = wrong {
                arrived.wrong.get_or_insert(error);
            }
            Ok(())
        });
    }

    /// Leaves in `hands` what came out right and was not written yet.
    fn decode(
        &self,
        frame: &Frame<'_>,
        segment: &Segment,
        hands: &mut Hands,
        turns: &Turns<Arrived<'_>>,
    ) -> Result<(), InstallError> {
        hands.plain.clear();
        hands.done.clear();
        let found = ObjectId::of(&frame.stored);
        if found != segment.object {
            return Err(InstallError::Stored {
                what: format!("segment {} of the {}", frame.segment, self.road.way),
                expected: segment.object.to_string(),
                found: found.to_string(),
            });
        }
        let mut prefix = std::mem::take(&mut hands.prefix);
        let mut cutter = Cutter {
            index: self.index,
            needed: &self.needed.0,
            numbers: segment.entry_numbers(),
            current: None,
            wrong: None,
        };
        let decoded = self.read_base(segment, &mut prefix).and_then(|()| {
            let mut sink = |piece: &[u8]| {
                cutter.take(piece, hands, &mut |hands| {
                    turns.within(frame.turn, |arrived| hands.write(arrived));
                });
                !turns.is_stopped()
            };
            decode_segment(&frame.stored, segment.plain_len, &prefix, &mut sink).map_err(|source| {
                InstallError::Segment { way: self.road.way, segment: frame.segment, source }
            })
        });
        let wrong = cutter.wrong;
        hands.prefix = prefix;
        // A beginning of an entry whose end did not come.
        let whole = hands.done.last().map_or(0, |(_, range)| range.end);
        hands.plain.truncate(whole);
        decoded.and(wrong.map_or(Ok(()), Err))
    }

    /// What the segment builds on, as the seed has it now. What it has wrongly comes out wrong, entry by entry.
    fn read_base(&self, segment: &Segment, prefix: &mut Vec<u8>) -> Result<(), InstallError> {
        let Some(base) = self.road.base else { return Ok(()) };
        // The table was checked: all ranges together are at most SEGMENT_BASE_MAX.
        prefix.resize(segment.base_len() as usize, 0);
        for range in &segment.base {
            base.hint(Hint::Read, u64::from(range.first) * BLOCK, u64::from(range.count) * BLOCK);
        }
        let mut start = 0;
        for range in &segment.base {
            let offset = u64::from(range.first) * BLOCK;
            let end = start + range.count as usize * BLOCK as usize;
            let read = base.read_at(&mut prefix[start..end], offset);
            read.map_err(|source| InstallError::Base { offset, source })?;
            start = end;
        }
        Ok(())
    }
}

impl Hands {
    /// Writes what is whole, and forgets it.
    fn write(&mut self, arrived: &mut Arrived<'_>) -> Result<(), InstallError> {
        self.runs.clear();
        for (number, range) in &self.done {
            let Some(number) = arrived.missing.open(*number) else { continue };
            arrived.stats.server_bytes += place(arrived.missing, number, range.clone(), &mut self.runs);
        }
        self.runs.write(&self.plain, &mut arrived.writer)?;
        self.done.drain(..).for_each(|(number, _)| arrived.missing.close(number));
        Ok(())
    }
}

/// Cuts what a segment decodes to into entries.
struct Cutter<'a, N> {
    index: &'a Index,
    needed: &'a [bool],
    numbers: N,
    /// The entry that is coming, and how many of its bytes are still to come.
    current: Option<(usize, usize)>,
    wrong: Option<InstallError>,
}

impl<N: Iterator<Item = usize>> Cutter<'_, N> {
    fn take(&mut self, mut piece: &[u8], hands: &mut Hands, flush: &mut dyn FnMut(&mut Hands)) {
        while !piece.is_empty() {
            let next = || {
                let number = self.numbers.next()?;
                Some((number, self.index.entries().get(number)?.plain_len as usize))
            };
            // The table was checked: a segment is as long as its entries.
            let Some((number, left)) = self.current.take().or_else(next) else { return };
            let (now, later) = piece.split_at(left.min(piece.len()));
            piece = later;
            let is_needed = self.needed[number];
            if is_needed {
                hands.plain.extend_from_slice(now);
            }
            if now.len() < left {
                self.current = Some((number, left - now.len()));
            } else if is_needed {
                self.end(number, hands);
                if hands.plain.len() >= HELD {
                    flush(hands);
                    hands.plain.clear();
                }
            }
        }
    }

    /// The bytes of entry `number` are the last ones of `hands.plain`.
    fn end(&mut self, number: usize, hands: &mut Hands) {
        let entry = &self.index.entries()[number];
        let range = hands.plain.len() - entry.plain_len as usize..hands.plain.len();
        match check_plain(number, entry, &hands.plain[range.clone()]) {
            Ok(()) => hands.done.push((number, range)),
            Err(error) => {
                hands.plain.truncate(range.start);
                self.wrong.get_or_insert(error);
            }
        }
    }
}

//! Chunks from the server.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use image_format::codec::Decoder;
use image_format::index::Entry;
use image_format::{ChunkId, ObjectId};

use super::error::InstallError;
use super::missing::Missing;
use super::source::Stopped;
use super::turns::{Turns, threads};
use super::writer::{Runs, Writer};
use super::{Context, InstallStats, News, Phase, Progress, Task};

/// Most entries of one request: their numbers travel in its URL.
pub const BATCH_ENTRIES: usize = 512;
/// Most stored bytes of one request.
pub const BATCH_BYTES: u64 = 16 << 20;

/// Plain bytes that are decoded and written as one piece; in tests so few that small images have several.
const UNIT: usize = if cfg!(test) { 16 << 10 } else { 1 << 20 };
/// Pieces that wait to be decoded.
const WAITING: usize = 2;

/// What is only touched in turn.
pub(super) struct Arrived<'a> {
    pub(super) writer: Writer<'a>,
    pub(super) missing: &'a mut Missing,
    pub(super) stats: &'a mut InstallStats,
    /// The first entry that came out wrong, where another way may bring it.
    pub(super) wrong: Option<InstallError>,
}

/// Fetches the entries `wanted`, which are open in `missing`, and writes each wherever the image has it. With `tolerant` what came
/// out wrong stays missing, and the first reason is given; else it is an error.
pub(super) fn fetch(
    task: &Task<'_>,
    wanted: &[usize],
    missing: &mut Missing,
    tolerant: bool,
    context: &mut Context<'_>,
    stats: &mut InstallStats,
) -> Result<Option<InstallError>, InstallError> {
    let Task { target, index, .. } = *task;
    let object = &task.job.manifest.root.index;
    let total = wanted.iter().map(|number| u64::from(index.entries()[*number].stored_len)).sum();
    let arrived = Arrived { writer: Writer::new(target), missing, stats, wrong: None };
    let turns = Turns::new(arrived);
    let (units, waiting) = sync_channel(WAITING);
    let workshop = Workshop {
        entries: index.entries(),
        waiting: Mutex::new(waiting),
        spare: Mutex::new(Vec::new()),
        tolerant,
    };
    let received = std::thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(|| workshop.work(&turns));
        }
        let mut sender = Sender {
            entries: index.entries(),
            units,
            spare: &workshop.spare,
            unit: Unit::default(),
            next: 0,
            plain: 0,
        };
        let mut done = 0;
        let mut rest = wanted;
        let result = loop {
            if rest.is_empty() || turns.is_stopped() {
                break Ok(());
            }
            let (batch, behind) = rest.split_at(batch_len(index.entries(), rest));
            rest = behind;
            let mut due = batch.iter().copied();
            let mut disorder = None;
            let mut sink = |number: usize, stored: &[u8]| {
                let expected = due.next();
                if expected != Some(number) {
                    disorder = Some(disordered(expected, number.to_string()));
                    return Err(Stopped);
                }
                if turns.is_stopped() {
                    return Err(Stopped);
                }
                done += stored.len() as u64;
                (context.progress)(News::Progress(Progress { phase: Phase::Fetch, done, total }));
                sender.add(number, stored)
            };
            let fetched = context.source.fetch(object, index, batch, &mut sink);
            if let Some(error) = disorder {
                break Err(error);
            }
            if let Err(source) = fetched {
                break Err(InstallError::Source { what: format!("{} chunks", batch.len()), source });
            }
            if let Some(number) = due.next() {
                break Err(disordered(Some(number), "the end".to_owned()));
            }
        };
        // What came before a failure is kept: the next try need not fetch it.
        sender.send();
        result
    });
    // Why nothing more was taken says more than that it was not.
    let wrong = turns.finish()?.wrong;
    received.map(|()| wrong)
}

fn disordered(expected: Option<usize>, found: String) -> InstallError {
    let expected = expected.map_or("nothing more".to_owned(), |number| format!("entry {number}"));
    InstallError::Order { what: "chunks", expected, found }
}

fn batch_len(entries: &[Entry], wanted: &[usize]) -> usize {
    let mut bytes = 0;
    let fits = wanted.iter().take(BATCH_ENTRIES).take_while(|number| {
        bytes += u64::from(entries[**number].stored_len);
        bytes <= BATCH_BYTES
    });
    fits.count().max(1)
}

/// Stored chunks, one behind the other, to be decoded by one thread.
#[derive(Default)]
struct Unit {
    number: usize,
    stored: Vec<u8>,
    /// Entries and where their bytes end.
    entries: Vec<(usize, usize)>,
}

/// Collects what arrives.
struct Sender<'a> {
    entries: &'a [Entry],
    units: SyncSender<Unit>,
    spare: &'a Mutex<Vec<Unit>>,
    unit: Unit,
    next: usize,
    /// Plain bytes of `unit`.
    plain: usize,
}

impl Sender<'_> {
    fn add(&mut self, number: usize, stored: &[u8]) -> Result<(), Stopped> {
        let len = self.entries[number].plain_len as usize;
        if self.plain + len > UNIT {
            self.send();
        }
        self.plain += len;
        self.unit.stored.extend_from_slice(stored);
        self.unit.entries.push((number, self.unit.stored.len()));
        Ok(())
    }

    fn send(&mut self) {
        if self.unit.entries.is_empty() {
            return;
        }
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut unit = std::mem::replace(&mut self.unit, spare.unwrap_or_default());
        unit.number = self.next;
        self.next += 1;
        self.plain = 0;
        // The receiving end lives as long as this one.
        let _never_refused = self.units.send(unit);
    }
}

struct Workshop<'a> {
    entries: &'a [Entry],
    waiting: Mutex<Receiver<Unit>>,
    /// Units whose memory is used again.
    spare: Mutex<Vec<Unit>>,
    tolerant: bool,
}

/// What a thread keeps from unit to unit.
struct Hands {
    decoder: Decoder,
    chunk: Vec<u8>,
    plain: Vec<u8>,
    /// Entries and where they lie in `plain`, or what is wrong with them.
    done: Vec<(usize, Result<std::ops::Range<usize>, InstallError>)>,
    runs: Runs,
}

impl Workshop<'_> {
    fn work(&self, turns: &Turns<Arrived<'_>>) {
        let _guard = turns.guard();
        let mut hands = Hands {
            decoder: Decoder::default(),
            chunk: Vec::new(),
            plain: Vec::with_capacity(UNIT),
            done: Vec::new(),
            runs: Runs::default(),
        };
        loop {
            let unit = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(mut unit) = unit else { return };
            // After a failure units are only taken off the hands of the receiver.
            if !turns.is_stopped() {
                self.decode(&unit, &mut hands);
                turns.take(unit.number, |arrived| self.write(&unit, &mut hands, arrived));
            }
            unit.stored.clear();
            unit.entries.clear();
            self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(unit);
        }
    }

    fn decode(&self, unit: &Unit, hands: &mut Hands) {
        hands.plain.clear();
        hands.done.clear();
        let mut start = 0;
        for (number, end) in &unit.entries {
            let result = self.chunk(*number, &unit.stored[start..*end], hands);
            start = *end;
            let is_wrong = result.is_err();
            hands.done.push((*number, result));
            if is_wrong && !self.tolerant {
                return;
            }
        }
    }

    /// Decodes and checks one chunk, and puts it behind the others.
    fn chunk(
        &self,
        number: usize,
        stored: &[u8],
        hands: &mut Hands,
    ) -> Result<std::ops::Range<usize>, InstallError> {
        let entry = &self.entries[number];
        let found = ObjectId::of(stored);
        if found != entry.object {
            return Err(InstallError::Stored {
                what: format!("chunk {number}"),
                expected: entry.object.to_string(),
                found: found.to_string(),
            });
        }
        hands
            .decoder
            .decode(stored, entry.plain_len as usize, &mut hands.chunk)
            .map_err(|source| InstallError::Decode { entry: number, source })?;
        check_plain(number, entry, &hands.chunk)?;
        let start = hands.plain.len();
        hands.plain.extend_from_slice(&hands.chunk);
        Ok(start..hands.plain.len())
    }

    fn write(&self, unit: &Unit, hands: &mut Hands, arrived: &mut Arrived<'_>) -> Result<(), InstallError> {
        let Hands { plain, done, runs, .. } = hands;
        runs.clear();
        let mut failed = None;
        arrived.stats.fetched_chunk_bytes += unit.stored.len() as u64;
        arrived.stats.fetched_chunks += unit.entries.len() as u64;
        let mut closed = Vec::with_capacity(done.len());
        for (number, result) in done.drain(..) {
            match result {
                Ok(range) => {
                    closed.push(number);
                    arrived.stats.server_bytes += place(arrived.missing, number, range, runs);
                }
                Err(error) if self.tolerant => drop(arrived.wrong.get_or_insert(error)),
                Err(error) => failed = Some(error),
            }
        }
        runs.write(plain, &mut arrived.writer)?;
        closed.into_iter().for_each(|number| arrived.missing.close(number));
        failed.map_or(Ok(()), Err)
    }
}

/// Where the bytes `range` of a buffer go, being the chunk of entry `number`: all its places. Says how many bytes that makes.
pub(super) fn place(missing: &Missing, number: usize, range: std::ops::Range<usize>, runs: &mut Runs) -> u64 {
    let mut bytes = 0;
    for offset in missing.places(number) {
        bytes += range.len() as u64;
        runs.add(offset, range.clone());
    }
    bytes
}

pub(super) fn check_plain(number: usize, entry: &Entry, plain: &[u8]) -> Result<(), InstallError> {
    let found = ChunkId::of(plain);
    if found == entry.chunk {
        return Ok(());
    }
    let (expected, found) = (entry.chunk.to_string(), found.to_string());
    Err(InstallError::Plain { entry: number, expected, found })
}

//! Chunks from the server.

use std::collections::{HashMap, VecDeque};

use image_format::codec::Decoder;
use image_format::device::Device;
use image_format::index::{Entry, Index};
use image_format::{ChunkId, Manifest, ObjectId};

use super::error::{InstallError, Place};
use super::source::Stopped;
use super::{Context, InstallStats, Phase, Progress};

/// Most entries of one request: their numbers travel in its URL.
pub const BATCH_ENTRIES: usize = 512;
/// Most stored bytes of one request, so that a broken connection costs little.
pub const BATCH_BYTES: u64 = 8 << 20;

/// Fetches the entries `missing`, each object once, and writes it wherever the image has it.
pub(super) fn fetch(
    target: &dyn Device,
    manifest: &Manifest,
    index: &Index,
    missing: &[usize],
    context: &mut Context<'_>,
    stats: &mut InstallStats,
) -> Result<(), InstallError> {
    let mut receiver = Receiver::new(target, index, missing);
    let entries = index.entries();
    let unique: Vec<usize> = missing.iter().copied().filter(|number| receiver.is_first(*number)).collect();
    let total = unique.iter().map(|number| u64::from(entries[*number].stored_len)).sum();
    let mut rest = unique.as_slice();
    while !rest.is_empty() {
        let (batch, behind) = rest.split_at(batch_len(entries, rest));
        rest = behind;
        receiver.expect(batch);
        let mut failed = None;
        let progress = &mut *context.progress;
        let mut sink = |number: usize, stored: &[u8]| {
            let received = receiver.receive(number, stored, stats);
            progress(Progress { phase: Phase::Fetch, done: stats.fetched_chunk_bytes, total });
            received.map_err(|error| {
                failed = Some(error);
                Stopped
            })
        };
        let fetched = context.source.fetch(&manifest.root.index, index, batch, &mut sink);
        // Why the sink stopped says more than that it did.
        if let Some(error) = failed {
            return Err(error);
        }
        fetched.map_err(|source| InstallError::Source { what: format!("{} chunks", batch.len()), source })?;
        receiver.all_came()?;
    }
    Ok(())
}

fn batch_len(entries: &[Entry], wanted: &[usize]) -> usize {
    let mut bytes = 0;
    let fits = wanted.iter().take(BATCH_ENTRIES).take_while(|number| {
        bytes += u64::from(entries[**number].stored_len);
        bytes <= BATCH_BYTES
    });
    fits.count().max(1)
}

struct Receiver<'a> {
    target: &'a dyn Device,
    entries: &'a [Entry],
    /// For each object that is missing: the entry it is fetched as, and all offsets it is written to.
    places: HashMap<ObjectId, (usize, Vec<u64>)>,
    due: VecDeque<usize>,
    decoder: Decoder,
    plain: Vec<u8>,
}

impl<'a> Receiver<'a> {
    fn new(target: &'a dyn Device, index: &'a Index, missing: &[usize]) -> Self {
        let mut places: HashMap<ObjectId, (usize, Vec<u64>)> = HashMap::new();
        let mut missing = missing.iter().copied().peekable();
        for (number, (offset, entry)) in index.iter_at().enumerate() {
            if missing.next_if_eq(&number).is_some() {
                places.entry(entry.object).or_insert((number, Vec::new())).1.push(offset);
            }
        }
        Self {
            target,
            entries: index.entries(),
            places,
            due: VecDeque::new(),
            decoder: Decoder::default(),
            plain: Vec::new(),
        }
    }

    fn is_first(&self, number: usize) -> bool {
        self.places.get(&self.entries[number].object).is_some_and(|(first, _)| *first == number)
    }

    fn expect(&mut self, batch: &[usize]) {
        self.due = batch.iter().copied().collect();
    }

    fn all_came(&self) -> Result<(), InstallError> {
        match self.due.front() {
            Some(number) => {
                Err(InstallError::Order { expected: number.to_string(), found: "the end".to_owned() })
            }
            None => Ok(()),
        }
    }

    fn receive(
        &mut self,
        number: usize,
        stored: &[u8],
        stats: &mut InstallStats,
    ) -> Result<(), InstallError> {
        if self.due.front() != Some(&number) {
            let expected = self.due.front().map_or("none".to_owned(), usize::to_string);
            return Err(InstallError::Order { expected, found: number.to_string() });
        }
        let entry = &self.entries[number];
        let found = ObjectId::of(stored);
        if found != entry.object {
            return Err(InstallError::Stored {
                what: format!("chunk {number}"),
                expected: entry.object.to_string(),
                found: found.to_string(),
            });
        }
        self.decoder
            .decode(stored, entry.plain_len as usize, &mut self.plain)
            .map_err(|source| InstallError::Decode { entry: number, source })?;
        let found = ChunkId::of(&self.plain);
        if found != entry.chunk {
            let (expected, found) = (entry.chunk.to_string(), found.to_string());
            return Err(InstallError::Plain { entry: number, expected, found });
        }
        let offsets = self.places.get(&entry.object).map_or(&[][..], |(_, offsets)| offsets);
        for offset in offsets {
            self.target.write_at(&self.plain, *offset).map_err(InstallError::io(Place::Root, *offset))?;
        }
        stats.server_bytes += u64::from(entry.plain_len) * offsets.len() as u64;
        stats.fetched_chunk_bytes += stored.len() as u64;
        stats.fetched_chunks += 1;
        self.due.pop_front();
        Ok(())
    }
}

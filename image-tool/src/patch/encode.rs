//! Makes segments, on all processors, in bounded memory: what each thread holds is its segment, the old bytes before it, and
//! zstd's tables.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use anyhow::Context as _;
use image_format::index::Index;
use image_format::patch::{BlockRange, SEGMENT_STORED_MAX, Segment, encode_segment};
use image_format::store::{Batch, Store};
use image_format::{BLOCK, ObjectId};

use super::plan::Job;
use crate::erofs_read::{ReadAt, StoreImage, read_chunk};
use crate::ui::progress::Progress;

/// Most threads: each takes up to 200 MiB.
const THREADS_MAX: usize = 4;

/// Where plain bytes come from, and how hard they are compressed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoder<'e> {
    /// Has the chunks of both images.
    pub(super) store: &'e Store,
    /// The image that is made.
    pub(super) target: &'e Index,
    /// The image that it is made from.
    pub(super) base: Option<&'e StoreImage<'e>>,
    /// Compression level.
    pub(super) level: i32,
}

impl Encoder<'_> {
    /// Makes all segments and puts them into `batch`. Segments that are no smaller than the chunks they hold are left out where
    /// there is a base: their entries are fetched as chunks. `progress` counts plain bytes.
    pub(super) fn run(
        &self,
        jobs: Vec<Job>,
        batch: &mut Batch<'_>,
        progress: &Progress,
    ) -> anyhow::Result<Vec<Segment>> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let jobs = Mutex::new(VecDeque::from(jobs));
        let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let mut segments = Vec::new();
        thread::scope(|scope| -> anyhow::Result<()> {
            // Bounded: frames wait for the store, not in memory.
            let (sender, receiver) = mpsc::sync_channel(1);
            for _ in 0..threads {
                let sender = sender.clone();
                scope.spawn(move || {
                    while let Some(job) = next() {
                        let made = self.make(&job);
                        // The receiver has gone after an error; then there is nothing more to do.
                        if sender.send(made).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for made in receiver {
                for (segment, frame) in made.context("make a segment")? {
                    progress.add(segment.plain_len.into());
                    let Some(frame) = frame else { continue };
                    batch.put(&frame).context("store a segment")?;
                    segments.push(segment);
                }
            }
            Ok(())
        })?;
        segments.sort_unstable_by_key(|segment| segment.entries[0].first);
        Ok(segments)
    }

    /// The segments of a job with their frames: one, or more if it would be too long; no frame if it does not pay.
    fn make(&self, job: &Job) -> io::Result<Vec<(Segment, Option<Vec<u8>>)>> {
        let plain = self.plain(job)?;
        let prefix = self.prefix(&job.base)?;
        let frame = encode_segment(&plain, &prefix, self.level)?;
        drop((prefix, frame.len()));
        if frame.len() > SEGMENT_STORED_MAX as usize {
            let halves = job.split().ok_or_else(|| io::Error::other("a chunk is too long for a segment"))?;
            drop((plain, frame));
            let [front, back] = halves.map(|half| self.make(&half));
            return Ok([front?, back?].concat());
        }
        let chunks: u64 = job.entries.iter().map(|number| u64::from(self.entry(*number).stored_len)).sum();
        let pays = self.base.is_none() || (frame.len() as u64) < chunks;
        let segment = Segment {
            object: ObjectId::of(&frame),
            stored_len: frame.len() as u32,
            plain_len: plain.len() as u32,
            base: job.base.clone(),
            entries: job.runs(),
        };
        Ok(vec![(segment, pays.then_some(frame))])
    }

    fn entry(&self, number: u32) -> &image_format::index::Entry {
        &self.target.entries()[number as usize]
    }

    fn plain(&self, job: &Job) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        for number in &job.entries {
            plain.extend_from_slice(&read_chunk(self.store, self.entry(*number))?);
        }
        Ok(plain)
    }

    fn prefix(&self, ranges: &[BlockRange]) -> io::Result<Vec<u8>> {
        let Some(base) = self.base else { return Ok(Vec::new()) };
        let mut prefix = Vec::new();
        for range in ranges {
            let start = prefix.len();
            prefix.resize(start + range.count as usize * BLOCK as usize, 0);
            base.read_at(&mut prefix[start..], u64::from(range.first) * BLOCK)?;
        }
        Ok(prefix)
    }
}

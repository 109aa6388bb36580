//! Slices of the artifact in memory, and the memory itself, which is used again and again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, PoisonError};

use image_format::BLOCK;
use image_format::chunker::Mark;

/// Bytes of a segment: small enough that what was read is still in the processor's cache when it is hashed, and not smaller
/// than the longest chunk, so that a chunk lies in two segments at most.
pub(super) const SEGMENT: usize = 512 << 10;

const _: () = assert!(SEGMENT >= image_format::index::CHUNK_MAX as usize);

/// Buffers that nobody uses now. Fresh memory for every segment would cost as much as reading it.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Vec<u8>>>);

impl Pool {
    /// A buffer with any content.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps a buffer for the next one who needs one.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

/// Bytes of the artifact from a segment boundary on.
pub(super) struct Segment<'p> {
    /// Its number: it begins at `number * SEGMENT`.
    pub(super) number: u64,
    bytes: Vec<u8>,
    pool: &'p Pool,
}

impl<'p> Segment<'p> {
    /// Reads segment `number` of a file of `size` bytes, with a mark for each block.
    pub(super) fn read(file: &File, number: u64, size: u64, pool: &'p Pool) -> io::Result<(Self, Vec<Mark>)> {
        let offset = number * SEGMENT as u64;
        let len = (size - offset).min(SEGMENT as u64) as usize;
        let mut segment = Self { number, bytes: pool.take(), pool };
        segment.bytes.resize(len, 0);
        file.read_exact_at(&mut segment.bytes, offset)?;
        let marks = segment.bytes.chunks(BLOCK as usize).map(Mark::of).collect();
        Ok((segment, marks))
    }

    /// What it holds of the artifact from byte `start` up to `end`.
    pub(super) fn part(&self, start: u64, end: u64) -> &[u8] {
        let first = self.number * SEGMENT as u64;
        let within = |at: u64| at.saturating_sub(first).min(self.bytes.len() as u64) as usize;
        &self.bytes[within(start)..within(end)]
    }
}

impl Drop for Segment<'_> {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.bytes));
    }
}

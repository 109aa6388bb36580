//! Cuts an artifact into chunks where its content says so, always between blocks.
//!
//! A cut follows a block whose XXH3-64 (seed 0) has its low [`CUT_BITS`] bits zero, once the chunk has [`MIN_BLOCKS`]; and
//! it follows in any case after [`MAX_BLOCKS`], before and after a run of zero blocks, and at the end. As a cut depends on
//! one block and on where the chunk began, two images with the same blocks at other offsets soon cut alike again. Blocks of
//! an EROFS image are where files begin (their data is aligned), so no rolling hash within a block is needed, and the
//! hash is computed once for 4096 bytes.
//!
//! Changing a constant changes every chunk of every later image: nodes would fetch a whole image once.

use std::io::{self, Read};

use xxhash_rust::xxh3::xxh3_64;

use crate::BLOCK;
use crate::index::{CHUNK_MAX, ZERO_MAX};

/// Fewest blocks of a chunk that ends by its content.
pub const MIN_BLOCKS: usize = 4;
/// A cut comes after one block in 2^`CUT_BITS`.
pub const CUT_BITS: u32 = 4;
/// Most blocks of a chunk.
pub const MAX_BLOCKS: usize = CHUNK_MAX as usize / BLOCK_LEN;

const BLOCK_LEN: usize = BLOCK as usize;
const CUT_MASK: u64 = (1 << CUT_BITS) - 1;
static ZERO_BLOCK: [u8; BLOCK_LEN] = [0; BLOCK_LEN];
/// Bytes asked for at a time.
const READ_LEN: usize = 1 << 20;

/// A slice of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A chunk: 1 to [`CHUNK_MAX`] bytes, whole blocks unless it is the last.
    Data(Vec<u8>),
    /// That many zero bytes: whole blocks, at most [`ZERO_MAX`].
    Zero(u64),
}

/// Iterator over the pieces of what `R` reads; they cover it exactly, in order. Ends after the first error.
pub struct Chunker<R> {
    reader: R,
    /// Bytes read and not yet given out are `buffer[start..]`.
    buffer: Vec<u8>,
    start: usize,
    state: State,
    /// Longest zero piece.
    zero_max: u64,
}

#[derive(PartialEq, Eq)]
enum State {
    Reading,
    /// The reader has ended; the rest is in the buffer.
    Draining,
    Failed,
}

/// Cuts everything that `reader` gives.
pub fn chunks<R: Read>(reader: R) -> Chunker<R> {
    Chunker { reader, buffer: Vec::new(), start: 0, state: State::Reading, zero_max: ZERO_MAX.into() }
}

impl<R: Read> Chunker<R> {
    /// The block that begins `at` bytes after the first one not given out; shorter or empty only at the end.
    fn block(&mut self, at: usize) -> io::Result<&[u8]> {
        while self.state == State::Reading && self.buffer.len() < self.start + at + BLOCK_LEN {
            self.fill()?;
        }
        let rest = self.buffer.get(self.start + at..).unwrap_or(&[]);
        Ok(&rest[..rest.len().min(BLOCK_LEN)])
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let read = self.reader.by_ref().take(READ_LEN as u64).read_to_end(&mut self.buffer)?;
        if read == 0 {
            self.state = State::Draining;
        }
        Ok(())
    }

    fn piece(&mut self) -> io::Result<Option<Piece>> {
        let first = self.block(0)?;
        if first.is_empty() {
            return Ok(None);
        }
        if is_zero_block(first) { self.zero_run().map(Some) } else { self.data().map(Some) }
    }

    fn zero_run(&mut self) -> io::Result<Piece> {
        let mut len = 0;
        while len < self.zero_max && is_zero_block(self.block(0)?) {
            self.start += BLOCK_LEN;
            len += BLOCK;
        }
        Ok(Piece::Zero(len))
    }

    fn data(&mut self) -> io::Result<Piece> {
        let mut len = 0;
        for blocks in 1..=MAX_BLOCKS {
            let block = self.block(len)?;
            if block.is_empty() || is_zero_block(block) {
                break;
            }
            let is_cut = xxh3_64(block) & CUT_MASK == 0;
            len += block.len();
            if blocks >= MIN_BLOCKS && is_cut {
                break;
            }
        }
        let data = self.buffer[self.start..self.start + len].to_vec();
        self.start += len;
        Ok(Piece::Data(data))
    }
}

impl<R: Read> Iterator for Chunker<R> {
    type Item = io::Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Failed {
            return None;
        }
        let piece = self.piece();
        if piece.is_err() {
            self.state = State::Failed;
        }
        piece.transpose()
    }
}

/// A whole block of zeros. A shorter one at the end is data, so that only the last entry of an index may be uneven.
fn is_zero_block(block: &[u8]) -> bool {
    block == ZERO_BLOCK
}

#[cfg(test)]
mod tests;

//! Cuts an artifact into chunks, always between blocks: where its files begin, if a [`FileMap`] says so, and where its
//! content says so.
//!
//! Each block has a hash, the XXH3-64 (seed 0) of its first [`HASHED_LEN`] bytes. Without a map, a chunk ends
//!
//! 1. before and after a run of zero blocks, at the end of the artifact, and after [`MAX_BLOCKS`] in any case;
//! 2. with a block whose hash has its low [`CUT_BITS`] bits zero, once the chunk has [`MIN_BLOCKS`].
//!
//! With a map rule 1 stays, and rule 2 becomes:
//!
//! 3. a file of [`FILE_BLOCKS`] or more begins a chunk and ends one; inside it rule 2 holds as long as [`MIN_BLOCKS`] are left, so
//!    that the end of a file is no tiny chunk;
//! 4. smaller files that lie side by side are grouped: a chunk ends with a file once it has [`GROUP_BLOCKS`], if bit 32 of the
//!    last block's hash is zero, and never inside a file but by rule 1.
//!
//! So a large file is always cut alike, wherever it lies and whatever is beside it; a small one changes its group and at most
//! moves the next cut. As rule 2 depends on one block and on where the chunk began, two artifacts with the same blocks at other
//! offsets soon cut alike again. Blocks of an EROFS image are where files begin (their data is aligned), so no rolling hash
//! within a block is needed, and one hash
//! is computed for 4096 bytes. It is to say "here", not to identify the block, so it need not cover all of it.
//!
//! The constants come from a Debian root image of 812 MB, without and with the security updates (a new kernel among them, so
//! that all modules are others), stored as in [`crate::codec`]; `cargo bench -p image-format -- NEW OLD`, each with its map beside it:
//!
//! | cut | entries | index | stored | who has OLD fetches | of it neither modules nor metadata |
//! | --- | --- | --- | --- | --- | --- |
//! | by content alone | 11,168 | 0.10 % | 246.3 MB | 128.0 MB | 25.8 MB |
//! | with its map | 14,877 | 0.13 % | 250.3 MB | 126.4 MB | 21.3 MB |
//!
//! Each constant changed alone, compared with the second line: `FILE_BLOCKS` 8 stores 1.4 MB more and saves 0.2 of the 21.3, 16
//! stores 1.3 less and costs 0.4; `CUT_BITS` 3 has 5,400 entries more and stores 1.5 MB more for 0.1; `GROUP_BLOCKS` 8 costs 0.3 and
//! stores 0.5 less. A file of a block or two of its own, the other extreme, costs more in index and compression than it saves.
//!
//! Changing a constant changes the chunks of every later image: nodes would fetch a whole image once.

mod cutter;
mod map;

use std::io::{self, Read};

pub use self::cutter::{Cutter, Mark, Span};
pub use self::map::{FileMap, MAP_MAX, MapError};
use crate::BLOCK;
use crate::index::CHUNK_MAX;

/// Bytes of a block that its hash covers. All of it cut no better and cost a tenth of the time of a chunking without news.
pub const HASHED_LEN: usize = 512;
/// Fewest blocks of a chunk that ends by its content.
pub const MIN_BLOCKS: usize = 4;
/// A cut comes after one block in 2^`CUT_BITS`.
pub const CUT_BITS: u32 = 4;
/// Most blocks of a chunk.
pub const MAX_BLOCKS: usize = CHUNK_MAX as usize / BLOCK_LEN;
/// Fewest blocks of a file that has chunks of its own.
pub const FILE_BLOCKS: usize = 12;
/// Fewest blocks of a group of smaller files.
pub const GROUP_BLOCKS: usize = 6;

const BLOCK_LEN: usize = BLOCK as usize;
static ZERO_BLOCK: [u8; BLOCK_LEN] = [0; BLOCK_LEN];
/// Bytes asked for at a time.
const READ_LEN: usize = 1 << 20;

/// A slice of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A chunk: 1 to [`CHUNK_MAX`] bytes, whole blocks unless it is the last.
    Data(Vec<u8>),
    /// That many zero bytes: whole blocks, at most [`ZERO_MAX`](crate::index::ZERO_MAX).
    Zero(u64),
}

/// Iterator over the pieces of what `R` reads; they cover it exactly, in order. Ends after the first error.
pub struct Chunker<'m, R> {
    reader: R,
    cutter: Cutter<'m>,
    /// Number of blocks that the map promises.
    promised: Option<u32>,
    /// Bytes read and not yet given out are `buffer[start..]`.
    buffer: Vec<u8>,
    start: usize,
    /// Bytes behind `start` that the cutter has seen: the open chunk.
    seen: usize,
    /// Blocks that the cutter has seen in all.
    blocks: u64,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Reading,
    /// The reader has ended; the rest is in the buffer.
    Draining,
    Ended,
}

/// Cuts everything that `reader` gives, by content alone.
pub fn chunks<R: Read>(reader: R) -> Chunker<'static, R> {
    Chunker::new(reader, None)
}

/// Cuts an image that `reader` gives. An image of another size than the map's ends with [`io::ErrorKind::InvalidData`].
pub fn image_chunks<R: Read>(reader: R, map: &FileMap) -> Chunker<'_, R> {
    Chunker::new(reader, Some(map))
}

impl<'m, R: Read> Chunker<'m, R> {
    fn new(reader: R, map: Option<&'m FileMap>) -> Self {
        Self {
            reader,
            cutter: Cutter::new(map),
            promised: map.map(FileMap::blocks),
            buffer: Vec::new(),
            start: 0,
            seen: 0,
            blocks: 0,
            state: State::Reading,
        }
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
        loop {
            let at = self.start + self.seen;
            if self.state == State::Reading && self.buffer.len() < at + BLOCK_LEN {
                self.fill()?;
                continue;
            }
            let rest = &self.buffer[at..];
            let block = &rest[..rest.len().min(BLOCK_LEN)];
            if block.is_empty() {
                return self.last();
            }
            let (mark, len) = (Mark::of(block), block.len());
            let piece = self.cutter.push(mark).map(|span| self.give_out(span));
            self.blocks += 1;
            // A run of zeros may be longer than memory: its bytes are not kept.
            *if mark.is_zero() { &mut self.start } else { &mut self.seen } += len;
            if piece.is_some() {
                return Ok(piece);
            }
        }
    }

    fn last(&mut self) -> io::Result<Option<Piece>> {
        if self.state == State::Ended {
            return Ok(None);
        }
        self.state = State::Ended;
        match self.promised {
            Some(promised) if u64::from(promised) != self.blocks => {
                let what = format!("the file map is of an image of {promised} blocks, found {}", self.blocks);
                Err(io::Error::new(io::ErrorKind::InvalidData, what))
            }
            _ => Ok(self.cutter.finish().map(|span| self.give_out(span))),
        }
    }

    fn give_out(&mut self, span: Span) -> Piece {
        match span {
            Span::Zero { blocks } => Piece::Zero(blocks as u64 * BLOCK),
            // All that was seen and is not zero; the last block may be short.
            Span::Data { .. } => {
                let data = self.buffer[self.start..][..self.seen].to_vec();
                self.start += self.seen;
                self.seen = 0;
                Piece::Data(data)
            }
        }
    }
}

impl<R: Read> Iterator for Chunker<'_, R> {
    type Item = io::Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Ended {
            return None;
        }
        let piece = self.piece();
        if piece.is_err() {
            self.state = State::Ended;
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

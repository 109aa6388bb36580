//! The decision where a chunk ends, apart from reading: blocks come in as [`Mark`]s, pieces come out as [`Span`]s.

use xxhash_rust::xxh3::xxh3_64;

use super::{
    BLOCK_LEN, CUT_BITS, FILE_BLOCKS, FileMap, GROUP_BLOCKS, HASHED_LEN, MAX_BLOCKS, MIN_BLOCKS,
    is_zero_block,
};
use crate::index::ZERO_MAX;

/// All that the cutter wants to know about a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u8);

const ZERO: u8 = 1;
const CUTS: u8 = 2;
const ENDS_GROUP: u8 = 4;
/// The bits of the block's hash, above those of a cut, that say whether a group of files may end with it.
const GROUP_BIT: u32 = 32;

impl Mark {
    /// Looks at a block; only the last one of an artifact may be shorter than [`BLOCK`], and is never a zero block then.
    pub fn of(block: &[u8]) -> Self {
        if is_zero_block(block) {
            return Self(ZERO);
        }
        let hash = xxh3_64(&block[..block.len().min(HASHED_LEN)]);
        let cuts = if hash & ((1 << CUT_BITS) - 1) == 0 { CUTS } else { 0 };
        let ends_group = if hash >> GROUP_BIT & 1 == 0 { ENDS_GROUP } else { 0 };
        Self(cuts | ends_group)
    }

    /// Whether the whole block is zero.
    pub fn is_zero(self) -> bool {
        self.0 & ZERO != 0
    }

    fn cuts(self) -> bool {
        self.0 & CUTS != 0
    }

    fn ends_group(self) -> bool {
        self.0 & ENDS_GROUP != 0
    }
}

/// A piece by its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// A chunk of 1 to [`MAX_BLOCKS`] blocks.
    Data {
        /// Number of blocks.
        blocks: usize,
    },
    /// A run of zero blocks, at most as long as an index entry may stand for.
    Zero {
        /// Number of blocks.
        blocks: usize,
    },
}

impl Span {
    /// Its number of blocks.
    pub fn blocks(self) -> usize {
        match self {
            Self::Data { blocks } | Self::Zero { blocks } => blocks,
        }
    }
}

/// Cuts a sequence of blocks; see the module [`chunker`](super) for the rules.
#[derive(Debug)]
pub struct Cutter<'m> {
    files: Option<Files<'m>>,
    open: Option<Span>,
    /// The block that was pushed last.
    last: Mark,
    /// Most blocks of a run of zeros.
    pub(super) zero_max: usize,
}

impl<'m> Cutter<'m> {
    /// A cutter that stands before the first block. The artifact must have as many blocks as the map says.
    pub fn new(map: Option<&'m FileMap>) -> Self {
        let files = map.map(|map| Files { starts: map.starts(), blocks: map.blocks(), current: 0, next: 0 });
        Self { files, open: None, last: Mark(0), zero_max: ZERO_MAX as usize / BLOCK_LEN }
    }

    /// Takes the next block. Returns the piece that ends before it, if one does.
    pub fn push(&mut self, mark: Mark) -> Option<Span> {
        let place = self.files.as_mut().map(Files::advance);
        let (open, closed) = match self.open {
            Some(Span::Zero { blocks }) if mark.is_zero() && blocks < self.zero_max => {
                (Span::Zero { blocks: blocks + 1 }, None)
            }
            Some(Span::Data { blocks }) if !mark.is_zero() && !self.ends(blocks, place) => {
                (Span::Data { blocks: blocks + 1 }, None)
            }
            closed if mark.is_zero() => (Span::Zero { blocks: 1 }, closed),
            closed => (Span::Data { blocks: 1 }, closed),
        };
        self.open = Some(open);
        self.last = mark;
        closed
    }

    /// The last piece. The cutter stands before a first block again, without a map.
    pub fn finish(&mut self) -> Option<Span> {
        self.files = None;
        self.open.take()
    }

    /// Whether a chunk of `blocks` blocks ends before the block at `place`.
    fn ends(&self, blocks: usize, place: Option<Place>) -> bool {
        if blocks >= MAX_BLOCKS {
            return true;
        }
        match place {
            None => blocks >= MIN_BLOCKS && self.last.cuts(),
            Some(Place::FirstOf { large: true }) => true,
            Some(Place::FirstOf { large: false }) => blocks >= GROUP_BLOCKS && self.last.ends_group(),
            Some(Place::Within { left }) => blocks >= MIN_BLOCKS && left >= MIN_BLOCKS && self.last.cuts(),
            Some(Place::WithinSmall) => false,
        }
    }
}

/// Where a block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is the first one of a file; `large`: that one, or the one before it.
    FirstOf { large: bool },
    /// In a large file, which has that many blocks left, this one included.
    Within { left: usize },
    /// In a small file.
    WithinSmall,
}

/// A walk through the map, block by block.
#[derive(Debug)]
struct Files<'m> {
    starts: &'m [u32],
    blocks: u32,
    /// Number of the file that the last block was in.
    current: usize,
    /// The next block.
    next: u32,
}

impl Files<'_> {
    fn advance(&mut self) -> Place {
        let block = self.next;
        self.next = self.next.saturating_add(1);
        if self.starts.get(self.current + 1) == Some(&block) {
            self.current += 1;
            return Place::FirstOf { large: self.is_large(self.current - 1) || self.is_large(self.current) };
        }
        match self.is_large(self.current) {
            true => Place::Within { left: (self.end(self.current).saturating_sub(block)) as usize },
            false => Place::WithinSmall,
        }
    }

    fn end(&self, file: usize) -> u32 {
        self.starts.get(file + 1).copied().unwrap_or(self.blocks)
    }

    fn is_large(&self, file: usize) -> bool {
        (self.end(file) - self.starts[file]) as usize >= FILE_BLOCKS
    }
}

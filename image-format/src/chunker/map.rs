//! Where the files of an image begin.
//!
//! As a file, little endian: `BSCLMAP1` | number of blocks of the image (4) | number of starts (4) | the starts in blocks (4
//! each). Starts ascend, the first is 0, the last lies within the image. What lies between two starts is one *file*; metadata
//! (superblock, directories, inode table) are files, too.

use crate::BLOCK;
use crate::manifest::ROOT_MAX;

/// Most bytes of a map that is read: four million files. A list of starts is kept in memory as it is.
pub const MAP_MAX: u64 = 16 << 20;

const MAGIC: &[u8; 8] = b"BSCLMAP1";
const HEADER: usize = 16;

/// Where the files of an image begin, in blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMap {
    starts: Vec<u32>,
    blocks: u32,
}

/// Why something is not a map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// Not as long as the number of starts says, or longer than [`MAP_MAX`].
    #[error("file map: expected {expected} bytes, found {found}")]
    Length {
        /// Expected size.
        expected: String,
        /// Size found.
        found: u64,
    },
    /// Another format.
    #[error("file map: expected a BSCLMAP1 header, found another")]
    Header,
    /// More blocks than an image may have, or none.
    #[error("file map: expected 1 to {} blocks, found {found}", ROOT_MAX / BLOCK)]
    Blocks {
        /// Number found.
        found: u32,
    },
    /// A start out of order or out of range.
    #[error("file map: start {position}: expected {expected}, found {found}")]
    Start {
        /// Number of the start, from 0.
        position: usize,
        /// What would be allowed.
        expected: String,
        /// What was found.
        found: u32,
    },
}

impl FileMap {
    /// A map of an image of `blocks` blocks.
    ///
    /// # Errors
    /// [`MapError`] unless the starts ascend from 0 on and lie within the image.
    pub fn new(starts: Vec<u32>, blocks: u32) -> Result<Self, MapError> {
        if !(1..=ROOT_MAX / BLOCK).contains(&blocks.into()) {
            return Err(MapError::Blocks { found: blocks });
        }
        let start = |position, expected: String, found| Err(MapError::Start { position, expected, found });
        match starts.first() {
            Some(0) => {}
            Some(&first) => return start(0, "0".to_owned(), first),
            None => {
                return Err(MapError::Length {
                    expected: "at least one start".to_owned(),
                    found: HEADER as u64,
                });
            }
        }
        if let Some(at) = starts.windows(2).position(|pair| pair[0] >= pair[1]) {
            return start(at + 1, format!("more than {}", starts[at]), starts[at + 1]);
        }
        match starts.last() {
            Some(&last) if last >= blocks => start(starts.len() - 1, format!("less than {blocks}"), last),
            _ => Ok(Self { starts, blocks }),
        }
    }

    /// Reads a map from bytes that anybody may have written.
    ///
    /// # Errors
    /// [`MapError`]; limits are checked before anything is allocated.
    pub fn parse(bytes: &[u8]) -> Result<Self, MapError> {
        let found = bytes.len() as u64;
        if !(HEADER as u64..=MAP_MAX).contains(&found) {
            return Err(MapError::Length { expected: format!("{HEADER} to {MAP_MAX}"), found });
        }
        let (header, body) = bytes.split_at(HEADER);
        if &header[..8] != MAGIC {
            return Err(MapError::Header);
        }
        let expected = HEADER as u64 + 4 * u64::from(number(&header[12..]));
        if expected != found {
            return Err(MapError::Length { expected: expected.to_string(), found });
        }
        Self::new(body.chunks_exact(4).map(number).collect(), number(&header[8..]))
    }

    /// The bytes that [`FileMap::parse`] reads.
    pub fn encode(&self) -> Vec<u8> {
        let count = self.starts.len() as u32;
        let numbers = [self.blocks, count].into_iter().chain(self.starts.iter().copied());
        MAGIC.iter().copied().chain(numbers.flat_map(u32::to_le_bytes)).collect()
    }

    /// Number of blocks of the image.
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    /// The first blocks of the files, ascending.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().expect("four bytes"))
}

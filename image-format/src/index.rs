//! The index of an artifact: its chunks in order.
//!
//! Binary, little endian, itself a stored object:
//!
//! | bytes | content |
//! | --- | --- |
//! | 8 | `BSCLIDX1` |
//! | 8 | plain size of the artifact in bytes |
//! | 4 | number of entries |
//! | 4 | zero |
//! | 72 each | plain digest (32), stored digest (32), plain length (4), stored length (4) |
//!
//! A *zero entry* (stored length 0, both digests zero) stands for a run of zero bytes: it is never stored, sent or read.
//! For all others the stored length is at most the plain length, and equal when the chunk is stored as it is (see
//! [`crate::codec`]).
//!
//! Invariants of an [`Index`]: the plain lengths sum up to the plain size; every plain length but the last is a multiple of
//! [`BLOCK`]; no length is out of range. So one byte string has one reading, and one index one byte string. *Not* guaranteed:
//! that the objects exist or decode to the plain digest.

use std::collections::HashSet;

use crate::{BLOCK, ChunkId, ObjectId};

/// Largest index read, in bytes: about 174,000 chunks, some 6 GB of root file system. It must fit the 16 MiB proof area of a
/// slot together with the largest manifest.
pub const INDEX_MAX: u64 = 12 << 20;

/// Longest chunk in bytes (plain). A decoder never needs more memory than this for one chunk.
pub const CHUNK_MAX: u32 = 256 << 10;

/// Longest zero entry in bytes; longer runs take several entries.
pub const ZERO_MAX: u32 = 1 << 30;

const MAGIC: &[u8; 8] = b"BSCLIDX1";
const HEADER: usize = 24;
const ENTRY: usize = 72;

/// Size in bytes of an index with `entries` entries.
pub const fn encoded_len(entries: u64) -> u64 {
    HEADER as u64 + entries * ENTRY as u64
}

/// One chunk of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Digest of the plain bytes; all zero in a zero entry.
    pub chunk: ChunkId,
    /// Digest of the stored bytes; all zero in a zero entry.
    pub object: ObjectId,
    /// Length of the plain bytes.
    pub plain_len: u32,
    /// Length of the stored bytes; 0 in a zero entry.
    pub stored_len: u32,
}

impl Entry {
    /// The entry of a run of `len` zero bytes.
    pub const fn zero(len: u32) -> Self {
        Self {
            chunk: ChunkId::from_bytes([0; 32]),
            object: ObjectId::from_bytes([0; 32]),
            plain_len: len,
            stored_len: 0,
        }
    }

    /// Whether this is a run of zero bytes, for which nothing is stored.
    pub const fn is_zero(&self) -> bool {
        self.stored_len == 0
    }

    fn check(&self, position: usize, is_last: bool) -> Result<(), IndexError> {
        let refuse = |expected: String, found: String| Err(IndexError::Entry { position, expected, found });
        let max = if self.is_zero() { ZERO_MAX } else { CHUNK_MAX };
        if !(1..=max).contains(&self.plain_len) {
            return refuse(format!("plain length 1 to {max}"), self.plain_len.to_string());
        }
        if !is_last && !u64::from(self.plain_len).is_multiple_of(BLOCK) {
            return refuse(format!("plain length a multiple of {BLOCK}"), self.plain_len.to_string());
        }
        if self.stored_len > self.plain_len {
            return refuse(format!("stored length at most {}", self.plain_len), self.stored_len.to_string());
        }
        let digests_are_zero = (*self.chunk.as_bytes() == [0; 32], *self.object.as_bytes() == [0; 32]);
        if digests_are_zero != (self.is_zero(), self.is_zero()) {
            let found = format!("stored length {}, {} and {}", self.stored_len, self.chunk, self.object);
            return refuse("zero digests exactly where the stored length is 0".to_owned(), found);
        }
        Ok(())
    }
}

/// Why bytes are not an index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Shorter than a header, longer than [`INDEX_MAX`], or not as long as its number of entries says.
    #[error("index: expected {expected} bytes, found {found}")]
    Length {
        /// Expected size.
        expected: String,
        /// Size found.
        found: u64,
    },
    /// Another format.
    #[error("index: expected a BSCLIDX1 header, found {found}")]
    Header {
        /// The header, hexadecimal.
        found: String,
    },
    /// An entry that breaks an invariant.
    #[error("index: entry {position}: expected {expected}, found {found}")]
    Entry {
        /// Number of the entry, from 0.
        position: usize,
        /// What would be allowed.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The entries do not add up to the declared size, or there are none.
    #[error("index: entries cover {found} bytes, the header says {expected}")]
    Size {
        /// Plain size in the header.
        expected: u64,
        /// Sum of the plain lengths.
        found: u64,
    },
}

/// What a node has to fetch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delta {
    /// Number of distinct objects.
    pub chunks: u64,
    /// Their stored bytes.
    pub stored_bytes: u64,
    /// Their plain bytes.
    pub plain_bytes: u64,
}

/// The chunks of an artifact, in order; see the module for what holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    entries: Vec<Entry>,
    plain_size: u64,
}

impl Index {
    /// An index of these entries.
    ///
    /// # Errors
    /// [`IndexError`] when the entries break an invariant of the module, or are none or too many.
    pub fn new(entries: Vec<Entry>) -> Result<Self, IndexError> {
        let len = encoded_len(entries.len() as u64);
        if len > INDEX_MAX {
            return Err(IndexError::Length { expected: format!("at most {INDEX_MAX}"), found: len });
        }
        let last = entries.len().saturating_sub(1);
        entries
            .iter()
            .enumerate()
            .try_for_each(|(position, entry)| entry.check(position, position == last))?;
        let plain_size = entries.iter().map(|entry| u64::from(entry.plain_len)).sum();
        if plain_size == 0 {
            return Err(IndexError::Size { expected: 1, found: 0 });
        }
        Ok(Self { entries, plain_size })
    }

    /// Reads an index from bytes that anybody may have sent.
    ///
    /// # Errors
    /// [`IndexError`]; limits are checked before anything is allocated.
    pub fn parse(bytes: &[u8]) -> Result<Self, IndexError> {
        let found = bytes.len() as u64;
        if !(HEADER as u64..=INDEX_MAX).contains(&found) {
            return Err(IndexError::Length { expected: format!("{HEADER} to {INDEX_MAX}"), found });
        }
        let (header, body) = bytes.split_at(HEADER);
        if &header[..8] != MAGIC || header[20..] != [0; 4] {
            let found = header.iter().map(|byte| format!("{byte:02x}")).collect();
            return Err(IndexError::Header { found });
        }
        let plain_size = u64::from_le_bytes(array(&header[8..]));
        let count = u32::from_le_bytes(array(&header[16..]));
        let expected = encoded_len(count.into());
        if expected != found {
            return Err(IndexError::Length { expected: expected.to_string(), found });
        }
        let index = Self::new(body.chunks_exact(ENTRY).map(read_entry).collect())?;
        if index.plain_size != plain_size {
            return Err(IndexError::Size { expected: plain_size, found: index.plain_size });
        }
        Ok(index)
    }

    /// The bytes that [`Index::parse`] reads.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.entries.len() * ENTRY);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.plain_size.to_le_bytes());
        // `new` keeps the number below INDEX_MAX / ENTRY.
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for entry in &self.entries {
            out.extend_from_slice(entry.chunk.as_bytes());
            out.extend_from_slice(entry.object.as_bytes());
            out.extend_from_slice(&entry.plain_len.to_le_bytes());
            out.extend_from_slice(&entry.stored_len.to_le_bytes());
        }
        out
    }

    /// The entries, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Size of the artifact in bytes.
    pub fn plain_size(&self) -> u64 {
        self.plain_size
    }

    /// The entries with their byte offsets in the artifact.
    pub fn iter_at(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.iter().scan(0, |next, entry| {
            let offset = *next;
            *next += u64::from(entry.plain_len);
            Some((offset, entry))
        })
    }

    /// The stored objects, each once, in order of first use. Zero entries have none.
    pub fn objects(&self) -> impl Iterator<Item = &Entry> {
        let mut seen = HashSet::new();
        self.entries.iter().filter(move |entry| !entry.is_zero() && seen.insert(entry.object))
    }

    /// What one who has the chunks `have` still needs; every object counted once.
    pub fn missing_from(&self, have: &HashSet<ChunkId>) -> Delta {
        self.objects().filter(|entry| !have.contains(&entry.chunk)).fold(Delta::default(), |sum, entry| {
            Delta {
                chunks: sum.chunks + 1,
                stored_bytes: sum.stored_bytes + u64::from(entry.stored_len),
                plain_bytes: sum.plain_bytes + u64::from(entry.plain_len),
            }
        })
    }
}

fn read_entry(bytes: &[u8]) -> Entry {
    Entry {
        chunk: ChunkId::from_bytes(array(bytes)),
        object: ObjectId::from_bytes(array(&bytes[32..])),
        plain_len: u32::from_le_bytes(array(&bytes[64..])),
        stored_len: u32::from_le_bytes(array(&bytes[68..])),
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes[..N].try_into().expect("the slice was cut to N bytes")
}

#[cfg(test)]
mod tests;

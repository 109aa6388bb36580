//! An index of chunks (`.caibx`), little endian (casync `src/caformat.h`):
//!
//! | bytes | content |
//! | --- | --- |
//! | 16 | size of the header, 48; its type |
//! | 8 | feature flags; one of them says SHA-512/256 instead of SHA-256 |
//! | 24 | smallest, average and largest size of a chunk |
//! | 16 | `u64::MAX` for a table of open end; its type |
//! | 40 each | end of the chunk in the artifact, id |
//! | 40 | 0, 0, offset of the table (48), its length with both ends, marker |
//!
//! Invariants of a [`CasyncIndex`]: every chunk has 1 to `max` bytes, and the artifact at most [`SIZE_MAX`]. So one byte string has
//! one reading. It may be empty: casync writes that for an empty file.

use image_format::manifest::ROOT_MAX;

use super::{CHUNK_MAX, CasyncId, Hash};

/// Longest index read, in bytes: some 800,000 chunks.
pub(crate) const CAIBX_MAX: u64 = 32 << 20;

/// Largest artifact that an index may describe, in bytes: what a root image may have.
pub(crate) const SIZE_MAX: u64 = ROOT_MAX;

const HEADER: u64 = 48;
const HEADER_TYPE: u64 = 0x9682_4d9c_7b12_9ff9;
const TABLE: u64 = 16;
const TABLE_TYPE: u64 = 0xe75b_9e11_2f17_417d;
const ITEM: u64 = 40;
const TAIL_MARKER: u64 = 0x4b4f_050e_5549_ecd1;
/// All that is in an index without chunks.
const EMPTY: u64 = HEADER + TABLE + ITEM;

/// The chunks are named by SHA-512/256.
const FLAG_SHA512_256: u64 = 0x2000_0000_0000_0000;
/// Of archives of directories: files marked "no dump" are left out. casync sets it for everything.
const FLAG_EXCLUDE_NODUMP: u64 = 0x8000_0000_0000_0000;
/// Of archives of directories: `.caexclude` is obeyed. casync sets it for everything.
const FLAG_EXCLUDE_FILE: u64 = 0x1000_0000_0000_0000;

/// A chunk of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CasyncChunk {
    /// Digest of the plain bytes.
    pub(crate) id: CasyncId,
    /// Their number.
    pub(crate) len: u32,
}

/// Sizes of chunks in bytes: what a cutter was set to. Only the largest is a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Smallest, but for the last.
    pub(crate) min: u32,
    /// Average.
    pub(crate) avg: u32,
    /// Largest.
    pub(crate) max: u32,
}

/// The chunks of an artifact, in order; see the module for what holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CasyncIndex {
    hash: Hash,
    sizes: Sizes,
    chunks: Vec<CasyncChunk>,
    size: u64,
}

/// Why bytes are not an index, or chunks cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CaibxError {
    /// Too short, too long, or not a whole number of entries.
    #[error("casync index: expected {expected} bytes, found {found}")]
    Length {
        /// Expected size.
        expected: String,
        /// Size found.
        found: u64,
    },
    /// A field of header, table or tail.
    #[error("casync index: {field}: expected {expected}, found {found}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What would be allowed.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A chunk that breaks an invariant.
    #[error("casync index: chunk {position}: expected {expected}, found {found}")]
    Chunk {
        /// Its number, from 0.
        position: usize,
        /// What would be allowed.
        expected: String,
        /// What was found.
        found: u64,
    },
}

impl CasyncIndex {
    /// An index of these chunks.
    ///
    /// # Errors
    /// [`CaibxError`] when the chunks break an invariant of the module, or are too many.
    pub(crate) fn new(hash: Hash, sizes: Sizes, chunks: Vec<CasyncChunk>) -> Result<Self, CaibxError> {
        let Sizes { min, avg, max } = sizes;
        if !(1..=CHUNK_MAX).contains(&max) || !(1..=max).contains(&avg) || !(1..=avg).contains(&min) {
            let expected = format!("1 ≤ smallest ≤ average ≤ largest ≤ {CHUNK_MAX}");
            return Err(CaibxError::Field { field: "sizes", expected, found: format!("{min}:{avg}:{max}") });
        }
        let len = EMPTY + chunks.len() as u64 * ITEM;
        if len > CAIBX_MAX {
            return Err(CaibxError::Length { expected: format!("at most {CAIBX_MAX}"), found: len });
        }
        let mut size = 0;
        for (position, chunk) in chunks.iter().enumerate() {
            if !(1..=max).contains(&chunk.len) {
                let expected = format!("a length of 1 to {max}");
                return Err(CaibxError::Chunk { position, expected, found: chunk.len.into() });
            }
            size += u64::from(chunk.len);
            if size > SIZE_MAX {
                return Err(CaibxError::Chunk {
                    position,
                    expected: format!("an end of at most {SIZE_MAX}"),
                    found: size,
                });
            }
        }
        Ok(Self { hash, sizes, chunks, size })
    }

    /// Reads an index from bytes that anybody may have made.
    ///
    /// # Errors
    /// [`CaibxError`]; limits are checked before anything is allocated.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, CaibxError> {
        let found = bytes.len() as u64;
        if !(EMPTY..=CAIBX_MAX).contains(&found) || !(found - EMPTY).is_multiple_of(ITEM) {
            let expected = format!("{EMPTY} to {CAIBX_MAX}, {EMPTY} and {ITEM} for each chunk,");
            return Err(CaibxError::Length { expected, found });
        }
        let number = |at: usize| u64_at(bytes, at);
        let expect = |field, at: usize, expected: u64| match number(at) {
            found if found == expected => Ok(()),
            found => {
                let hex = |number| format!("{number:#x}");
                Err(CaibxError::Field { field, expected: hex(expected), found: hex(found) })
            }
        };
        expect("size of the header", 0, HEADER)?;
        expect("type of the header", 8, HEADER_TYPE)?;
        let hash = if number(16) & FLAG_SHA512_256 == 0 { Hash::Sha256 } else { Hash::Sha512_256 };
        let sizes = Sizes {
            min: size("smallest chunk", number(24))?,
            avg: size("average chunk", number(32))?,
            max: size("largest chunk", number(40))?,
        };
        expect("size of the table", 48, u64::MAX)?;
        expect("type of the table", 56, TABLE_TYPE)?;
        let tail = bytes.len() - ITEM as usize;
        expect("tail", tail, 0)?;
        expect("tail", tail + 8, 0)?;
        expect("offset of the table", tail + 16, HEADER)?;
        expect("length of the table", tail + 24, found - HEADER)?;
        expect("marker at the end", tail + 32, TAIL_MARKER)?;
        let items = bytes[(HEADER + TABLE) as usize..tail].chunks_exact(ITEM as usize);
        let mut end = 0;
        let chunk = |(position, item): (usize, &[u8])| {
            let start = std::mem::replace(&mut end, u64_at(item, 0));
            let len = end.checked_sub(start).filter(|len| (1..=u64::from(sizes.max)).contains(len));
            let Some(len) = len else {
                let expected = format!("an end 1 to {} bytes behind {start}", sizes.max);
                return Err(CaibxError::Chunk { position, expected, found: end });
            };
            let id = item[8..].try_into().expect("an item of 40 bytes has an id of 32");
            // At most `sizes.max`, which is a u32.
            Ok(CasyncChunk { id: CasyncId(id), len: len as u32 })
        };
        Self::new(hash, sizes, items.enumerate().map(chunk).collect::<Result<_, _>>()?)
    }

    /// The bytes that [`CasyncIndex::parse`] and casync read.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let len = EMPTY + self.chunks.len() as u64 * ITEM;
        let mut out = Vec::with_capacity(len as usize);
        let flag = if self.hash == Hash::Sha512_256 { FLAG_SHA512_256 } else { 0 };
        let Sizes { min, avg, max } = self.sizes;
        let flags = FLAG_EXCLUDE_NODUMP | FLAG_EXCLUDE_FILE | flag;
        put(
            &mut out,
            &[HEADER, HEADER_TYPE, flags, min.into(), avg.into(), max.into(), u64::MAX, TABLE_TYPE],
        );
        let mut end = 0;
        for chunk in &self.chunks {
            end += u64::from(chunk.len);
            put(&mut out, &[end]);
            out.extend_from_slice(&chunk.id.0);
        }
        put(&mut out, &[0, 0, HEADER, len - HEADER, TAIL_MARKER]);
        out
    }

    /// How chunks are named.
    pub(crate) fn hash(&self) -> Hash {
        self.hash
    }

    /// The chunks, in order.
    pub(crate) fn chunks(&self) -> &[CasyncChunk] {
        &self.chunks
    }

    /// Size of the artifact in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

fn size(field: &'static str, found: u64) -> Result<u32, CaibxError> {
    let refused =
        || CaibxError::Field { field, expected: format!("1 to {CHUNK_MAX} bytes"), found: found.to_string() };
    u32::try_from(found).ok().filter(|size| (1..=CHUNK_MAX).contains(size)).ok_or_else(refused)
}

fn put(out: &mut Vec<u8>, numbers: &[u64]) {
    out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("the slice has 8 bytes"))
}

#[cfg(test)]
mod tests;

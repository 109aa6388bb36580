//! The formats of casync 2 (and of desync): an index of chunks, `NAME.caibx`, and a store of chunks, a directory `NAME.castr`.
//!
//! ```text
//! default.castr/abcd/abcd…(64 hex).cacnk     a chunk, compressed (zstd here); without the suffix: as it is
//! ```
//!
//! A chunk is named by SHA-512/256 (or SHA-256, by a flag of the index) of its plain bytes. Nothing is signed, and the index
//! says nothing about compressed bytes: so the limits stand before the decompressor, and what it gives is hashed.

pub(crate) mod cacnk;
pub(crate) mod castr;
mod id;
pub(crate) mod index;

pub(crate) use self::castr::Castr;
pub(crate) use self::id::{CasyncId, Hash};
pub(crate) use self::index::{CasyncChunk, CasyncIndex};

/// Longest chunk accepted, in bytes. casync allows 128 MiB and makes 256 KiB; what is above this limit would be held in memory
/// several times at once.
pub(crate) const CHUNK_MAX: u32 = 16 << 20;

//! The plain bytes of an artifact in a store, every one of them verified.
//!
//! Chunks are read and checked a window at a time on all processors; memory stays at about a window.

use anyhow::{Context as _, ensure};
use image_format::index::{Entry, Index};
use image_format::store::Store;
use image_format::{ChunkId, codec};
use rayon::prelude::*;

/// Chunks in memory at a time: at most 32 MiB of plain bytes, and as many stored ones.
pub(crate) const WINDOW: usize = 128;

/// A chunk in both forms.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// As the store has it.
    pub(crate) stored: Vec<u8>,
    /// As it was.
    pub(crate) plain: Vec<u8>,
}

/// Reads a chunk and compares both digests and both lengths. A zero entry has no bytes in either form.
pub(crate) fn chunk(store: &Store, entry: &Entry) -> anyhow::Result<Chunk> {
    let mut plain = Vec::new();
    if entry.is_zero() {
        return Ok(Chunk { stored: Vec::new(), plain });
    }
    let stored = store.read(entry.object, entry.stored_len.into())?;
    let expected = entry.stored_len as usize;
    ensure!(stored.len() == expected, "expected {expected} stored bytes, found {}", stored.len());
    codec::decode(&stored, entry.plain_len as usize, &mut plain)?;
    let found = ChunkId::of(&plain);
    ensure!(found == entry.chunk, "expected plain digest {}, found {found}", entry.chunk);
    Ok(Chunk { stored, plain })
}

/// Gives every entry, with its byte offset and its verified chunk, to `work` (on many threads at once) and what that makes of it
/// to `sink`, in order. Ends with the first failure.
pub(crate) fn each<T: Send>(
    store: &Store,
    index: &Index,
    work: impl Fn(u64, &Entry, Chunk) -> anyhow::Result<T> + Sync,
    mut sink: impl FnMut(&Entry, T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let entries: Vec<(u64, &Entry)> = index.iter_at().collect();
    for window in entries.chunks(WINDOW) {
        let one = |(offset, entry): &(u64, &Entry)| {
            let chunk =
                chunk(store, entry).with_context(|| format!("byte {offset}: object {}", entry.object));
            chunk.and_then(|chunk| work(*offset, entry, chunk))
        };
        let worked: Vec<T> = window.par_iter().map(one).collect::<anyhow::Result<_>>()?;
        for ((_, entry), worked) in window.iter().zip(worked) {
            sink(entry, worked)?;
        }
    }
    Ok(())
}

//! Cuts an artifact into chunks, compresses those that no earlier image has, and puts them into the store.

mod pipeline;
mod segment;
mod work;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context as _, ensure};
use image_format::chunker::FileMap;
use image_format::codec::Compression;
use image_format::index::Index;
use image_format::store::{Batch, Store};
use image_format::verity::{self, Tree};
use image_format::{BLOCK, Sha256};

pub(crate) use self::work::Known;

/// More threads than this wait for memory and for the disk.
const THREADS_MAX: usize = 16;
/// Bytes given to the verity tree at a time.
const READ_LEN: usize = 4 << 20;

/// The root image, cut and stored.
#[derive(Debug)]
pub(crate) struct Chunked {
    /// Its chunks.
    pub(crate) chunks: Chunks,
    /// Its verity tree.
    pub(crate) tree: Tree,
}

/// An artifact, cut and stored.
#[derive(Debug)]
pub(crate) struct Chunks {
    /// Its chunks.
    pub(crate) index: Index,
    /// Number of chunks, runs of zeros not counted.
    pub(crate) entries: usize,
    /// Of these, how many an earlier image had.
    pub(crate) reused: u64,
}

impl Chunks {
    /// Bytes of all distinct chunks as stored.
    pub(crate) fn stored(&self) -> u64 {
        self.index.objects().map(|entry| u64::from(entry.stored_len)).sum()
    }
}

/// Where chunks come from and go to.
pub(crate) struct Chunking<'c, 's> {
    /// Where files begin, if the artifact is an image of which that is known.
    pub(crate) map: Option<&'c FileMap>,
    /// Chunks that need not be compressed.
    pub(crate) known: &'c Known,
    /// How hard the others are compressed.
    pub(crate) compression: Compression,
    /// Receives new objects.
    pub(crate) batch: &'c mut Batch<'s>,
    /// Is told the number of bytes that have been dealt with.
    pub(crate) progress: &'c (dyn Fn(u64) + Sync),
}

/// Works through the image of `size` bytes at `path`, and makes its verity tree at the same time.
pub(crate) fn store_image(
    path: &Path,
    size: u64,
    salt: Sha256,
    chunking: Chunking<'_, '_>,
) -> anyhow::Result<Chunked> {
    let open = || File::open(path).with_context(|| format!("open {}", path.display()));
    let (for_tree, for_chunks) = (open()?, open()?);
    std::thread::scope(|scope| {
        let tree = scope.spawn(move || tree(for_tree, size, salt));
        let chunks = store(&for_chunks, size, chunking);
        let tree = tree.join().map_err(|_| anyhow::anyhow!("making the verity tree panicked"))?;
        Ok(Chunked {
            chunks: chunks.with_context(|| format!("cut {} into chunks", path.display()))?,
            tree: tree.with_context(|| format!("verity tree of {}", path.display()))?,
        })
    })
}

/// Works through the first `size` bytes of `file`.
pub(crate) fn store(file: &File, size: u64, chunking: Chunking<'_, '_>) -> anyhow::Result<Chunks> {
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX);
    store_on(threads, file, size, chunking)
}

fn store_on(threads: usize, file: &File, size: u64, chunking: Chunking<'_, '_>) -> anyhow::Result<Chunks> {
    let Chunking { map, known, compression, batch, progress } = chunking;
    if let Some(map) = map {
        let promised = u64::from(map.blocks()) * BLOCK;
        ensure!(size == promised, "the file map is of an image of {promised} bytes, found {size}");
    }
    let mut entries = Vec::new();
    let mut reused = 0;
    pipeline::run(file, size, map, (known, compression), threads, &mut |entry, stored| {
        match stored {
            Some(bytes) => drop(batch.put_hashed(entry.object, bytes)?),
            None => reused += u64::from(!entry.is_zero()),
        }
        progress(entry.plain_len.into());
        entries.push(*entry);
        Ok(())
    })?;
    let index = Index::new(entries)?;
    let entries = index.entries().iter().filter(|entry| !entry.is_zero()).count();
    Ok(Chunks { index, entries, reused })
}

/// Chunks of `indexes` whose objects are in `store`, and stay there for as long as a lease lasts.
pub(crate) fn known(store: &Store, indexes: &[Index]) -> anyhow::Result<Known> {
    let mut known = Known::new();
    let mut chunks = HashMap::new();
    for entry in indexes.iter().flat_map(Index::objects) {
        known.entry(entry.chunk).or_insert_with(|| {
            chunks.insert(entry.object, entry.chunk);
            (entry.object, entry.stored_len)
        });
    }
    for absent in store.missing(chunks.keys().copied())? {
        chunks.get(&absent).map(|chunk| known.remove(chunk));
    }
    Ok(known)
}

fn tree(mut file: File, size: u64, salt: Sha256) -> anyhow::Result<Tree> {
    let mut builder = verity::Builder::new(salt, size)?;
    let mut buffer = vec![0; READ_LEN];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(builder.finish()?),
            Ok(count) => builder.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;

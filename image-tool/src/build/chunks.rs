//! Cuts the root image into chunks, compresses those that no earlier image has, and puts them into the store.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context as _, bail};
use image_format::chunker::{self, Piece};
use image_format::index::{Entry, Index, ZERO_MAX};
use image_format::store::{Batch, Store};
use image_format::verity::{self, Tree};
use image_format::{ChunkId, ObjectId, Sha256, codec};
use rayon::prelude::*;

/// Pieces worked on at a time: enough for all processors, and some 16 MiB of memory.
const GROUP: usize = 256;
/// Bytes given to the verity tree at a time.
const READ_LEN: usize = 4 << 20;

/// Chunks of earlier images: what object holds them, and its length.
pub(crate) type Known = HashMap<ChunkId, (ObjectId, u32)>;

/// The root image, cut and stored.
#[derive(Debug)]
pub(crate) struct Chunked {
    /// Its chunks.
    pub(crate) index: Index,
    /// Its verity tree.
    pub(crate) tree: Tree,
    /// Number of chunks, runs of zeros not counted.
    pub(crate) entries: usize,
    /// Of these, how many an earlier image had.
    pub(crate) reused: u64,
}

impl Chunked {
    /// Bytes of all distinct chunks as stored.
    pub(crate) fn stored(&self) -> u64 {
        self.index.objects().map(|entry| u64::from(entry.stored_len)).sum()
    }
}

/// Works through the image of `size` bytes at `path`; new objects go into `batch`.
pub(crate) fn store(
    path: &Path,
    size: u64,
    salt: Sha256,
    known: &Known,
    batch: &mut Batch<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> anyhow::Result<Chunked> {
    let open = || File::open(path).with_context(|| format!("open {}", path.display()));
    let (for_tree, for_chunks) = (open()?, open()?);
    std::thread::scope(|scope| {
        let tree = scope.spawn(move || tree(for_tree, size, salt));
        let chunked = cut(for_chunks, known, batch, progress);
        let tree = tree.join().map_err(|_| anyhow::anyhow!("making the verity tree panicked"))?;
        let (index, reused) = chunked.with_context(|| format!("cut {} into chunks", path.display()))?;
        if index.plain_size() != size {
            bail!("{}: expected {size} bytes, cut {}", path.display(), index.plain_size());
        }
        let entries = index.entries().iter().filter(|entry| !entry.is_zero()).count();
        Ok(Chunked {
            index,
            entries,
            tree: tree.with_context(|| format!("verity tree of {}", path.display()))?,
            reused,
        })
    })
}

/// Chunks of `indexes` whose objects are in `store`.
pub(crate) fn known(store: &Store, indexes: &[Index]) -> anyhow::Result<Known> {
    let mut known = Known::new();
    for index in indexes {
        for entry in index.objects() {
            if !known.contains_key(&entry.chunk) && store.contains(entry.object)? {
                known.insert(entry.chunk, (entry.object, entry.stored_len));
            }
        }
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

/// A piece with what is to be stored for it.
struct Worked {
    entry: Entry,
    /// Stored bytes, unless an earlier image has them.
    stored: Option<Vec<u8>>,
}

fn cut(
    file: File,
    known: &Known,
    batch: &mut Batch<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> anyhow::Result<(Index, u64)> {
    let mut pieces = chunker::chunks(file);
    let mut entries = Vec::new();
    let mut reused = 0;
    loop {
        let group: Vec<Piece> = pieces.by_ref().take(GROUP).collect::<io::Result<_>>()?;
        if group.is_empty() {
            return Ok((Index::new(entries)?, reused));
        }
        let worked: Vec<Worked> = group.par_iter().map(|piece| work(piece, known)).collect();
        for Worked { entry, stored } in worked {
            match stored {
                Some(bytes) => {
                    batch.put_expected(entry.object, &bytes)?;
                }
                None if !entry.is_zero() => reused += 1,
                None => {}
            }
            progress(entry.plain_len.into());
            entries.push(entry);
        }
    }
}

fn work(piece: &Piece, known: &Known) -> Worked {
    match piece {
        Piece::Zero(len) => {
            debug_assert!(*len <= u64::from(ZERO_MAX));
            Worked { entry: Entry::zero(*len as u32), stored: None }
        }
        Piece::Data(plain) => {
            let chunk = ChunkId::of(plain);
            let plain_len = plain.len() as u32;
            if let Some((object, stored_len)) = known.get(&chunk) {
                let entry = Entry { chunk, object: *object, plain_len, stored_len: *stored_len };
                return Worked { entry, stored: None };
            }
            let stored = codec::encode(plain);
            let entry =
                Entry { chunk, object: ObjectId::of(&stored), plain_len, stored_len: stored.len() as u32 };
            Worked { entry, stored: Some(stored) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_image_compresses_only_what_is_new() {
        let dir = tempfile::tempdir().unwrap();
        let store_dir = Store::create(dir.path().join("store")).unwrap();
        let path = dir.path().join("image");
        let mut bytes: Vec<u8> = (0..200u32).flat_map(|block| [block as u8 | 1; 4096]).collect();
        bytes.extend([0; 40960]);
        let size = bytes.len() as u64;
        let salt = Sha256::of(b"salt");
        let run = |bytes: &[u8], indexes: &[Index]| {
            std::fs::write(&path, bytes).unwrap();
            let known = known(&store_dir, indexes).unwrap();
            let mut batch = store_dir.batch().unwrap();
            let chunked = store(&path, size, salt, &known, &mut batch, &|_| {}).unwrap();
            batch.commit().unwrap();
            chunked
        };

        let first = run(&bytes, &[]);
        assert_eq!(first.reused, 0);
        assert!(first.index.entries().last().unwrap().is_zero());
        let again = run(&bytes, std::slice::from_ref(&first.index));
        assert_eq!(again.reused, again.index.objects().count() as u64);
        assert_eq!(again.index.encode(), first.index.encode());
        assert_eq!(again.tree.root_hash, first.tree.root_hash);

        bytes[100 * 4096] ^= 1;
        let changed = run(&bytes, std::slice::from_ref(&first.index));
        assert!(changed.reused > 0 && changed.reused < changed.index.entries().len() as u64);
        assert_ne!(changed.tree.root_hash, first.tree.root_hash);
        for entry in changed.index.objects() {
            assert!(store_dir.contains(entry.object).unwrap());
        }
    }
}

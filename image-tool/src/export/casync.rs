//! `NAME.caibx` and `default.castr`, which casync and desync turn back into the bytes.
//!
//! A chunk there is a chunk here: what the store holds as a zstd frame is taken over as it is. Runs of zeros are cut into chunks of
//! the largest size, the ones that desync knows without fetching.
//!
//! New chunks are written to a temporary directory; when all are there and durable they move into the store, the index last. Many
//! exports may share a store. A chunk that it has already stays if it is right, and is replaced if not.

mod incoming;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use image_format::ChunkId;
use image_format::index::{CHUNK_MAX, Index};

use self::incoming::{Incoming, sync_all};
use super::{Artifact, Exists, Output, output};
use crate::casync::index::Sizes;
use crate::casync::{CasyncChunk, CasyncId, CasyncIndex, Hash, cacnk};
use crate::fsutil::parent;
use crate::plain;

/// The store's name: where casync looks for it beside the index.
const CASTR: &str = "default.castr";
const HASH: Hash = Hash::Sha512_256;
/// What the index says of the sizes of chunks: ours are whole blocks, and the last may be any.
const SIZES: Sizes = Sizes { min: 1, avg: 64 << 10, max: CHUNK_MAX };

/// Where an export goes.
#[derive(Debug)]
pub(crate) struct Caibx {
    /// The index.
    pub(crate) path: PathBuf,
    /// The store beside it.
    pub(crate) castr: PathBuf,
}

impl Caibx {
    /// `out` is a directory, in which the index is called `NAME.caibx`, or the index itself if it ends so.
    pub(crate) fn at(out: &Path, name: &str) -> Self {
        let is_index = out.extension().is_some_and(|extension| extension == "caibx");
        let path = if is_index { out.to_owned() } else { out.join(format!("{name}.caibx")) };
        Self { castr: path.with_file_name(CASTR), path }
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Written {
    /// Chunks of the index.
    pub(crate) chunks: u64,
    /// Files that are new in the store.
    pub(crate) new: u64,
    /// Their bytes.
    pub(crate) new_bytes: u64,
}

/// Writes index and chunks.
pub(crate) fn casync(artifact: &Artifact<'_>, to: &Caibx, exists: Exists) -> anyhow::Result<Written> {
    let dir = parent(&to.path);
    let is_new = make_dir(dir)?;
    let written = write(artifact, to, exists, dir);
    if written.is_err() && is_new {
        // Made for nothing; if it cannot be removed it is empty and harmless.
        let _ = fs::remove_dir(dir);
    }
    written
}

fn write(artifact: &Artifact<'_>, to: &Caibx, exists: Exists, dir: &Path) -> anyhow::Result<Written> {
    output::check(&to.path, exists)?;
    let opened = File::open(dir).with_context(|| format!("open {}", dir.display()))?;
    let incoming = Incoming::begin(&opened, dir, &to.castr)?;
    let (chunks, new) = cut(artifact, &incoming)?;
    let index = CasyncIndex::new(HASH, SIZES, chunks)?;
    let output = Output::create(&to.path, exists)?;
    output.file().write_all(&index.encode()).context("write the index")?;
    sync_all(&opened)?;
    let new_bytes = new.values().sum();
    incoming.publish(&opened, &new)?;
    output.commit()?;
    Ok(Written { chunks: index.chunks().len() as u64, new: new.len() as u64, new_bytes })
}

/// The chunks in order, and the new files with their lengths.
fn cut(
    artifact: &Artifact<'_>,
    incoming: &Incoming,
) -> anyhow::Result<(Vec<CasyncChunk>, HashMap<CasyncId, u64>)> {
    let first = first_uses(artifact.index);
    let mut known: HashMap<ChunkId, CasyncId> = HashMap::new();
    let mut chunks = Vec::new();
    let mut new = HashMap::new();
    let mut zeros = HashMap::new();
    plain::each(
        artifact.store,
        artifact.index,
        |offset, entry, chunk| {
            let taken = first.contains(&offset).then(|| incoming.take(entry, &chunk)).transpose();
            artifact.progress.add(entry.plain_len.into());
            taken
        },
        |entry, taken| {
            if entry.is_zero() {
                return push_zeros(entry.plain_len, incoming, &mut zeros, &mut new, &mut chunks);
            }
            if let Some((id, written)) = taken {
                known.insert(entry.chunk, id);
                new.extend(written.map(|len| (id, len)));
            }
            chunks.push(CasyncChunk { id: known[&entry.chunk], len: entry.plain_len });
            Ok(())
        },
    )?;
    Ok((chunks, new))
}

/// Byte offsets of the entries whose chunk did not come before.
fn first_uses(index: &Index) -> HashSet<u64> {
    let mut seen = HashSet::new();
    let entries = index.iter_at().filter(|(_, entry)| !entry.is_zero() && seen.insert(entry.chunk));
    entries.map(|(offset, _)| offset).collect()
}

fn push_zeros(
    mut left: u32,
    incoming: &Incoming,
    zeros: &mut HashMap<u32, CasyncId>,
    new: &mut HashMap<CasyncId, u64>,
    chunks: &mut Vec<CasyncChunk>,
) -> anyhow::Result<()> {
    while left > 0 {
        let len = left.min(CHUNK_MAX);
        let id = match zeros.get(&len) {
            Some(id) => *id,
            None => {
                let plain = vec![0; len as usize];
                let frame = cacnk::encode(&plain).context("compress zeros")?;
                let (id, written) = incoming.put(&plain, &frame)?;
                new.extend(written.map(|len| (id, len)));
                *zeros.entry(len).or_insert(id)
            }
        };
        chunks.push(CasyncChunk { id, len });
        left -= len;
    }
    Ok(())
}

/// Makes a directory; says whether it is new.
fn make_dir(dir: &Path) -> anyhow::Result<bool> {
    match fs::create_dir(dir) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| format!("create directory {}", dir.display())),
    }
}

//! `NAME.caibx` and `default.castr`, which casync and desync turn back into the bytes.
//!
//! A chunk there is a chunk here: what the store holds as a zstd frame is taken over as it is. Runs of zeros are cut into chunks of
//! the largest size, the ones that desync knows without fetching.
//!
//! New chunks are written to a temporary directory; when all are there and durable they move into the store, the index last. Many
//! exports may share a store. A chunk that it has already stays if it is right, and is replaced if not.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use image_format::ChunkId;
use image_format::index::{CHUNK_MAX, Entry, Index};

use super::{Artifact, Exists, Output, output};
use crate::casync::castr::create_or_open;
use crate::casync::index::Sizes;
use crate::casync::{Castr, CasyncChunk, CasyncId, CasyncIndex, Hash, cacnk};
use crate::fsutil::{PUBLIC, parent};
use crate::plain::{self, Chunk};

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
    let incoming = Incoming::begin(&opened, dir, to)?;
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

/// New chunks on their way into the store.
struct Incoming {
    temporary: tempfile::TempDir,
    /// What the store has already.
    present: Option<Castr>,
}

impl Incoming {
    fn begin(opened: &File, dir: &Path, to: &Caibx) -> anyhow::Result<Self> {
        let name = || dir.display().to_string();
        let present = match fs::symlink_metadata(&to.castr) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // This refuses a link, which would lead the chunks to a place that nobody named.
            _ => Some(Castr::at(create_or_open(opened, CASTR).with_context(name)?, &to.castr)),
        };
        let temporary = tempfile::Builder::new().prefix(".tmp-").tempdir_in(dir);
        let temporary = temporary.with_context(|| format!("create a directory in {}", dir.display()))?;
        Ok(Self { temporary, present })
    }

    /// Takes a chunk of ours; gives its name, and its stored length if it is new.
    fn take(&self, entry: &Entry, chunk: &Chunk) -> anyhow::Result<(CasyncId, Option<u64>)> {
        if entry.stored_len < entry.plain_len {
            return self.put(&chunk.plain, &chunk.stored);
        }
        let frame = cacnk::encode(&chunk.plain).context("compress a chunk")?;
        self.put(&chunk.plain, &frame)
    }

    fn put(&self, plain: &[u8], frame: &[u8]) -> anyhow::Result<(CasyncId, Option<u64>)> {
        let id = HASH.id(plain);
        let chunk = CasyncChunk { id, len: plain.len() as u32 };
        if self.present.as_ref().is_some_and(|present| present.chunk(&chunk, HASH).is_ok()) {
            return Ok((id, None));
        }
        let path = self.temporary.path().join(id.file());
        let file = OpenOptions::new().write(true).create_new(true).mode(PUBLIC).open(&path);
        let written = file.and_then(|mut file| file.write_all(frame));
        written.with_context(|| format!("write {}", path.display()))?;
        Ok((id, Some(frame.len() as u64)))
    }

    /// Moves the chunks, durable already, to their names.
    fn publish(self, opened: &File, new: &HashMap<CasyncId, u64>) -> anyhow::Result<()> {
        let from = File::open(self.temporary.path()).context("open the temporary directory")?;
        let castr = create_or_open(opened, CASTR)?;
        let mut ids: Vec<&CasyncId> = new.keys().collect();
        // One directory is open at a time: there may be tens of thousands.
        ids.sort_by_key(|id| id.0);
        for ids in ids.chunk_by(|a, b| a.dir() == b.dir()) {
            let to = create_or_open(&castr, &ids[0].dir())?;
            for id in ids {
                let file = id.file();
                let renamed = rustix::fs::renameat(&from, &file, &to, &file).map_err(io::Error::from);
                renamed.with_context(|| format!("rename chunk {id} into {CASTR}"))?;
            }
        }
        sync_all(opened)
    }
}

/// One call for thousands of files and names.
fn sync_all(dir: &File) -> anyhow::Result<()> {
    rustix::fs::syncfs(dir).map_err(io::Error::from).context("make the chunks durable")
}

/// Makes a directory; says whether it is new.
fn make_dir(dir: &Path) -> anyhow::Result<bool> {
    match fs::create_dir(dir) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| format!("create directory {}", dir.display())),
    }
}

//! New chunks on their way into a store: a private directory beside it, which is gone when this is dropped.
//!
//! It holds a lock (flock) as long as its process lives; directories that are not locked are remains of killed exports, and the
//! next export removes them.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use image_format::index::Entry;
use tempfile::TempDir;

use super::{CASTR, HASH};
use crate::casync::castr::create_or_open;
use crate::casync::{Castr, CasyncChunk, CasyncId, cacnk};
use crate::fsutil::PUBLIC;
use crate::plain::Chunk;

/// How the directories' names begin.
const PREFIX: &str = ".tmp-export-";

/// See the module.
#[derive(Debug)]
pub(super) struct Incoming {
    temporary: TempDir,
    /// The open directory, locked.
    locked: File,
    /// What the store has already.
    present: Option<Castr>,
}

impl Incoming {
    /// Begins in `dir`, which is open as `opened`, beside the store `castr`.
    pub(super) fn begin(opened: &File, dir: &Path, castr: &Path) -> anyhow::Result<Self> {
        let name = || dir.display().to_string();
        let present = match fs::symlink_metadata(castr) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // This refuses a link, which would lead the chunks to a place that nobody named.
            _ => Some(Castr::at(create_or_open(opened, CASTR).with_context(name)?, castr)),
        };
        let make = || {
            // Nobody may sweep between the creation and the lock.
            opened.lock()?;
            sweep(dir);
            let temporary = tempfile::Builder::new().prefix(PREFIX).tempdir_in(dir)?;
            let locked = File::open(temporary.path())?;
            locked.lock()?;
            opened.unlock()?;
            io::Result::Ok((temporary, locked))
        };
        let (temporary, locked) =
            make().with_context(|| format!("create a directory in {}", dir.display()))?;
        Ok(Self { temporary, locked, present })
    }

    /// Takes a chunk of ours; gives its name, and its stored length if it is new.
    pub(super) fn take(&self, entry: &Entry, chunk: &Chunk) -> anyhow::Result<(CasyncId, Option<u64>)> {
        if entry.stored_len < entry.plain_len {
            return self.put(&chunk.plain, &chunk.stored);
        }
        let frame = cacnk::encode(&chunk.plain).context("compress a chunk")?;
        self.put(&chunk.plain, &frame)
    }

    /// Takes a chunk with these plain bytes and this frame.
    pub(super) fn put(&self, plain: &[u8], frame: &[u8]) -> anyhow::Result<(CasyncId, Option<u64>)> {
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
    pub(super) fn publish(self, opened: &File, new: &HashMap<CasyncId, u64>) -> anyhow::Result<()> {
        let castr = create_or_open(opened, CASTR)?;
        let mut ids: Vec<&CasyncId> = new.keys().collect();
        // One directory is open at a time: there may be tens of thousands.
        ids.sort_by_key(|id| id.0);
        for ids in ids.chunk_by(|a, b| a.dir() == b.dir()) {
            let to = create_or_open(&castr, &ids[0].dir())?;
            for id in ids {
                let file = id.file();
                let renamed = rustix::fs::renameat(&self.locked, &file, &to, &file).map_err(io::Error::from);
                renamed.with_context(|| format!("rename chunk {id} into {CASTR}"))?;
            }
        }
        sync_all(opened)
    }
}

/// One call for thousands of files and names.
pub(super) fn sync_all(dir: &File) -> anyhow::Result<()> {
    rustix::fs::syncfs(dir).map_err(io::Error::from).context("make the chunks durable")
}

/// Removes what dead exports left. Best effort: what stays costs space, nothing else.
fn sweep(dir: &Path) {
    let Ok(listing) = fs::read_dir(dir) else { return };
    let is_ours = |entry: &fs::DirEntry| {
        entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes())
            && entry.file_type().is_ok_and(|found| found.is_dir())
    };
    for entry in listing.flatten().filter(is_ours) {
        if File::open(entry.path()).is_ok_and(|dir| dir.try_lock().is_ok()) {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

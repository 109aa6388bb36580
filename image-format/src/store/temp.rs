//! Private directories for temporary files, and sweeping those whose owner is gone.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::FlockOperation;

use super::StoreError;

/// Attempts to make a directory with a fresh name. Each fails only if another process had the same idea or sweeps at that
/// very moment.
const ATTEMPTS: u32 = 100;

/// A directory below `tmp/` that nobody else uses. Removed with everything in it when dropped.
#[derive(Debug)]
pub(crate) struct TempDir {
    path: PathBuf,
    /// Holds the lock that tells others that the owner lives; the kernel drops it with the process.
    _lock: File,
}

impl TempDir {
    /// Makes one below `tmp`, and removes what dead processes left there.
    pub(crate) fn create(tmp: &Path) -> Result<Self, StoreError> {
        sweep(tmp);
        for _ in 0..ATTEMPTS {
            let path = tmp.join(fresh_name());
            match std::fs::create_dir(&path) {
                Err(source) if source.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(|source| StoreError::io("create directory", &path, source))?,
            }
            // A sweeper may have been faster; then the directory is gone or locked.
            match lock(&path) {
                Ok(lock) if path.is_dir() => return Ok(Self { path, _lock: lock }),
                Ok(_) => {}
                Err(source)
                    if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::WouldBlock) => {}
                Err(source) => return Err(StoreError::io("lock directory", &path, source)),
            }
        }
        let source = io::Error::new(io::ErrorKind::AlreadyExists, "no free name");
        Err(StoreError::io("create directory in", tmp, source))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        #[cfg(test)]
        if super::fault::is_dead() {
            return;
        }
        // What stays is swept by the next batch.
        drop(std::fs::remove_dir_all(&self.path));
    }
}

/// A name that no other process has.
pub(super) fn fresh_name() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    format!("{}-{nanos:08x}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

fn lock(dir: &Path) -> io::Result<File> {
    let file = File::open(dir)?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// Removes the directories whose owner is gone. Best effort: one that cannot be removed costs space, nothing else.
fn sweep(tmp: &Path) {
    let Ok(listing) = std::fs::read_dir(tmp) else { return };
    for entry in listing.flatten() {
        if let Ok(_held) = lock(&entry.path()) {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

//! Leases: who is publishing, and since when.
//!
//! A collection leaves everything that was stored or touched since the oldest live lease began, however short its grace period
//! is.
//!
//! ```text
//! leases/<pid>-…   empty; a process on this machine holds a lock (flock) on it as long as it lives
//! leases/remote    "<since> <until>\n", seconds since 1970: somebody publishes over the network
//! ```

use std::fs::{File, OpenOptions, TryLockError};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::temp::fresh_name;
use super::{LEASES, Store, StoreError, entries, files};

/// The lease of those who publish over the network.
const REMOTE: &str = "remote";

/// Longest lease file that is read.
const REMOTE_MAX: u64 = 64;

/// A local publisher's lease; ends when dropped, or with the process.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    _lock: File,
}

impl Store {
    /// Begins a lease for this process: what is stored or found from now on stays at least until it ends.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn lease(&self) -> Result<Lease, StoreError> {
        files::make_dir(&self.path().join(LEASES))?;
        // Nobody may sweep between the creation and the lock.
        let _guard = self.lock_leases(rustix::fs::FlockOperation::LockShared)?;
        let path = self.path().join(LEASES).join(fresh_name());
        let error = |source| StoreError::io("create", &path, source);
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(error)?;
        file.lock().map_err(|source| StoreError::io("lock", &path, source))?;
        Ok(Lease { path, _lock: file })
    }

    /// Begins or prolongs the lease of those who publish over the network: it lives `for_long` from now on.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn lease_remote(&self, for_long: Duration) -> Result<(), StoreError> {
        let now = SystemTime::now();
        let path = self.path().join(LEASES).join(REMOTE);
        let before = remote(&path)?.filter(|lease| lease.until > now);
        // Not written again for every question.
        if before.is_some_and(|lease| lease.until > now + for_long / 2) {
            return Ok(());
        }
        files::make_dir(&self.path().join(LEASES))?;
        let since = before.map_or(now, |lease| lease.since);
        let text = format!("{} {}\n", seconds(since), seconds(now + for_long));
        let temp = self.temp_dir()?;
        let new = temp.path().join(REMOTE);
        files::write_new(&new, text.as_bytes())?;
        files::rename(&new, &path)
    }

    /// When the oldest live lease began, and how many there are. Removes those that have ended.
    pub(crate) fn leases(&self) -> Result<(Option<SystemTime>, u64), StoreError> {
        let _guard = self.lock_leases(rustix::fs::FlockOperation::LockExclusive)?;
        let now = SystemTime::now();
        let (mut oldest, mut count) = (None, 0);
        for path in entries(self.path().join(LEASES)) {
            let path = path?;
            let since = if path.ends_with(REMOTE) {
                remote(&path)?.filter(|lease| lease.until > now).map(|lease| lease.since)
            } else {
                local(&path)?
            };
            match since {
                Some(since) => {
                    oldest = Some(oldest.map_or(since, |oldest: SystemTime| oldest.min(since)));
                    count += 1;
                }
                None => drop(std::fs::remove_file(&path)),
            }
        }
        Ok((oldest, count))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A file that stays is not locked, and goes with the next collection.
        drop(std::fs::remove_file(&self.path));
    }
}

/// When the lease began, if whoever made it lives.
fn local(path: &std::path::Path) -> Result<Option<SystemTime>, StoreError> {
    let error = |source| StoreError::io("look at lease", path, source);
    let Some((file, _)) = files::open_regular(path.to_owned())? else { return Ok(None) };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            file.metadata().and_then(|metadata| metadata.modified()).map(Some).map_err(error)
        }
        Err(TryLockError::Error(source)) => Err(error(source)),
    }
}

#[derive(Clone, Copy)]
struct Remote {
    since: SystemTime,
    until: SystemTime,
}

/// The remote lease; none if it is not there or cannot be understood: it is renewed all the time.
fn remote(path: &std::path::Path) -> Result<Option<Remote>, StoreError> {
    let Some(bytes) = files::read_regular(path, REMOTE_MAX)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let time = |text: &str| Some(UNIX_EPOCH + Duration::from_secs(text.parse::<u32>().ok()?.into()));
    let parsed = text.trim_end().split_once(' ');
    Ok(parsed.and_then(|(since, until)| Some(Remote { since: time(since)?, until: time(until)? })))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

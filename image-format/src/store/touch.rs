//! Relying on objects that are there already.
//!
//! Whoever does not store an object because the store has it sets its time to now, and the collection leaves what is young. Both
//! lock `leases/` (shared to touch, exclusive to look at the time and remove), so an object that was touched is there, and stays.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FlockOperation, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

use super::pack::PackId;
use super::{LEASES, Store, StoreError, files};
use crate::ObjectId;

/// Touches objects; each pack once.
#[derive(Debug)]
pub(super) struct Toucher {
    dir: File,
    touched: HashSet<PackId>,
}

impl Store {
    /// Which of these objects are not there. The others stay for the grace period of a collection: their time is now.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn missing(&self, ids: impl IntoIterator<Item = ObjectId>) -> Result<Vec<ObjectId>, StoreError> {
        self.packs.now()?;
        let mut toucher = Toucher::new(self)?;
        let mut missing = Vec::new();
        for id in ids {
            if !toucher.touch(self, id, None)? {
                missing.push(id);
            }
        }
        Ok(missing)
    }

    /// Keeps others from touching, or from removing, as long as the file is open.
    pub(crate) fn lock_leases(&self, operation: FlockOperation) -> Result<File, StoreError> {
        let dir = open_leases(self)?;
        rustix::fs::flock(&dir, operation)
            .map_err(|source| StoreError::io("lock directory", &self.path().join(LEASES), source.into()))?;
        Ok(dir)
    }
}

impl Toucher {
    pub(super) fn new(store: &Store) -> Result<Self, StoreError> {
        Ok(Self { dir: open_leases(store)?, touched: HashSet::new() })
    }

    /// Whether the object is there, in this size if one is given. One that is there and cannot be touched, as it belongs to another
    /// user, counts as absent: nothing says that it stays.
    pub(super) fn touch(
        &mut self,
        store: &Store,
        id: ObjectId,
        size: Option<u64>,
    ) -> Result<bool, StoreError> {
        let fits = |found: u64| size.is_none_or(|size| size == found);
        for now in [false, true] {
            let tables = if now { store.packs.now()? } else { store.packs.recent()? };
            for entry in tables.find(id).iter().filter(|entry| fits(entry.len.into())) {
                let pack = tables.pack(entry);
                if self.touched.contains(&pack.id) || self.set_time(&pack.path)? {
                    self.touched.insert(pack.id);
                    return Ok(true);
                }
            }
            let path = store.object_file(id);
            match files::regular_size(path.clone()) {
                Ok(Some(found)) if fits(found) => return self.set_time(&path),
                Ok(_) | Err(StoreError::NotAFile { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Whether the file is there and its time is now.
    fn set_time(&self, path: &Path) -> Result<bool, StoreError> {
        let error = |source: Errno| StoreError::io("touch", path, source.into());
        let now = || Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: now(), last_modification: now() };
        rustix::fs::flock(&self.dir, FlockOperation::LockShared).map_err(error)?;
        let touched = rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
        rustix::fs::flock(&self.dir, FlockOperation::Unlock).map_err(error)?;
        match touched {
            Ok(()) => Ok(true),
            Err(Errno::NOENT | Errno::PERM | Errno::ACCESS) => Ok(false),
            Err(source) => Err(error(source)),
        }
    }
}

fn open_leases(store: &Store) -> Result<File, StoreError> {
    let path = store.path().join(LEASES);
    let opened = match File::open(&path) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            files::make_dir(&path)?;
            File::open(&path)
        }
        opened => opened,
    };
    opened.map_err(|source| StoreError::io("open", &path, source))
}

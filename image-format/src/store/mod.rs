//! The object store: immutable files named by their digest, below one directory.
//!
//! ```text
//! objects/ab/abcdef…   one object; regular file, mode 0644; its BLAKE3-256 is its name
//! tuf/                 signed metadata, see `repository`
//! tmp/<name>/          private to one batch, which holds a lock (flock) on it; unlocked ones are remains and are swept
//! ```
//!
//! Inserting is: private file → digest → durable → rename → directory durable. So whoever sees an object sees all of it,
//! at any moment and after a power cut, and a writer that is killed leaves nothing but a directory below `tmp/`, which the
//! next batch removes. Objects that are there already are not written again; any number of writers and readers, in any
//! number of processes, need no further lock.
//!
//! Reading checks the digest again and opens regular files only, never a symbolic link, a FIFO or a device that somebody put
//! there.
//!
//! *Not* guaranteed: that an object which another process has just inserted has reached the disk under its name (its content
//! has). A publisher that relies on objects of others makes the file system durable first, as `repository` does.

mod batch;
mod error;
#[cfg(test)]
pub(crate) mod fault;
pub(crate) mod files;
mod read;
mod temp;
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};

pub use self::batch::{Batch, Counts, Put};
pub use self::error::StoreError;
use crate::ObjectId;
use crate::digest::ParseDigestError;

/// Directory of the objects below the store's root.
const OBJECTS: &str = "objects";
/// Directory of temporary files.
const TMP: &str = "tmp";
/// Directory of the signed metadata.
pub(crate) const TUF: &str = "tuf";

/// A store directory. Cheap to clone; holds no lock and no open file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens a store that exists.
    ///
    /// # Errors
    /// [`StoreError::NotAStore`] when `objects/` or `tmp/` is missing.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = dir.into();
        if ![OBJECTS, TMP].iter().all(|name| root.join(name).is_dir()) {
            return Err(StoreError::NotAStore { path: root });
        }
        Ok(Self { root })
    }

    /// Opens a store, making what is missing of its directories.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn create(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = dir.into();
        let below = [OBJECTS, TMP, "tuf/metadata", "tuf/targets/images", "tuf/targets/pins"];
        for name in below {
            let path = root.join(name);
            std::fs::create_dir_all(&path)
                .map_err(|source| StoreError::io("create directory", &path, source))?;
        }
        for name in ["tuf/targets", TUF, ""] {
            files::sync_dir(&root.join(name))?;
        }
        Ok(Self { root })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Where the object is, or would be.
    pub fn object_file(&self, id: ObjectId) -> PathBuf {
        self.root.join(id.object_path())
    }

    /// Begins to insert objects.
    ///
    /// # Errors
    /// [`StoreError::Io`] when no private directory can be made.
    pub fn batch(&self) -> Result<Batch<'_>, StoreError> {
        Batch::begin(self)
    }

    /// All objects, in no particular order. Something else between them is [`StoreError::Stray`], once each.
    pub fn list(&self) -> impl Iterator<Item = Result<ObjectId, StoreError>> {
        let fan_out = entries(self.root.join(OBJECTS));
        fan_out.flat_map(|dir| match dir {
            Ok(dir) if dir.is_dir() => Box::new(entries(dir).map(object_of)) as Box<dyn Iterator<Item = _>>,
            Ok(path) => Box::new(std::iter::once(Err(StoreError::Stray { path }))),
            Err(error) => Box::new(std::iter::once(Err(error))),
        })
    }

    fn tmp(&self) -> PathBuf {
        self.root.join(TMP)
    }

    pub(crate) fn temp_dir(&self) -> Result<temp::TempDir, StoreError> {
        temp::TempDir::create(&self.tmp())
    }
}

/// What is in a directory, sorted out into paths and errors.
fn entries(dir: PathBuf) -> impl Iterator<Item = Result<PathBuf, StoreError>> {
    let (listing, failed) = match std::fs::read_dir(&dir) {
        Ok(listing) => (Some(listing), None),
        Err(source) => (None, Some(Err(StoreError::io("list directory", &dir, source)))),
    };
    let entry = move |entry: std::io::Result<std::fs::DirEntry>| {
        entry.map(|entry| entry.path()).map_err(|source| StoreError::io("list directory", &dir, source))
    };
    listing.into_iter().flatten().map(entry).chain(failed)
}

fn object_of(path: Result<PathBuf, StoreError>) -> Result<ObjectId, StoreError> {
    let path = path?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let id: Result<ObjectId, ParseDigestError> = name.parse();
    match id {
        Ok(id) if path.ends_with(id.object_path()) => Ok(id),
        Ok(_) | Err(_) => Err(StoreError::Stray { path }),
    }
}

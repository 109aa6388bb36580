//! The object store: immutable files named by their digest, below one directory.
//!
//! ```text
//! objects/ab/abcdef…   one object; regular file, mode 0644; its BLAKE3-256 is its name
//! packs/<64 hex>.pack  many small objects, one behind the other, and a table of them, see `pack`
//! leases/              who is publishing, see `lease`
//! quarantine/          what a scrub has found to be damaged, see `scrub`
//! tuf/                 signed metadata, see `repository`
//! tmp/<name>/          private to one batch, which holds a lock (flock) on it; unlocked ones are remains and are swept
//! ```
//!
//! An object is in the store if it has a file or is in a pack. Objects of 1 MiB and more have files; a batch of more than two
//! smaller ones makes packs: to create, fsync and rename a file for each costs more than to compress its content.
//!
//! Inserting is: private file → digest → durable → rename → directory durable. So whoever sees an object sees all of it,
//! at any moment and after a power cut, and a writer that is killed leaves nothing but a directory below `tmp/`, which the
//! next batch removes. Objects that are there already are not written again; any number of writers and readers, in any
//! number of processes, need no further lock.
//!
//! Reading checks the digest again and opens regular files only, never a symbolic link, a FIFO or a device that somebody put
//! there. A file among the packs that is none, or whose table is damaged, holds nothing, and [`Store::list`] names it.
//!
//! *Not* guaranteed: that an object which another process has just inserted has reached the disk under its name (its content
//! has). A publisher that relies on objects of others makes the file system durable first, as `repository` does.

mod batch;
mod error;
mod extent;
#[cfg(test)]
pub(crate) mod fault;
pub(crate) mod files;
pub(crate) mod gc;
mod lease;
mod pack;
mod pack_writer;
mod packer;
mod packs;
mod peek;
mod read;
pub mod scrub;
mod temp;
#[cfg(test)]
pub(crate) mod tests;
mod touch;
#[cfg(any(test, feature = "sim"))]
mod unpack;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::batch::{Batch, Counts, Put};
pub use self::error::StoreError;
pub use self::extent::ObjectExtent;
pub use self::gc::Collected;
pub use self::lease::Lease;
pub use self::pack::PackError;
use self::packs::Packs;
use crate::ObjectId;
use crate::digest::ParseDigestError;

/// Directory of the objects below the store's root.
const OBJECTS: &str = "objects";
/// Directory of the packs.
const PACKS: &str = "packs";
/// Directory of what was found to be damaged.
const QUARANTINE: &str = "quarantine";
/// Directory of the leases.
const LEASES: &str = "leases";
/// Directory of temporary files.
const TMP: &str = "tmp";
/// Directory of the signed metadata.
pub(crate) const TUF: &str = "tuf";

/// A store directory. Cheap to clone: clones share what they know of the packs (48 bytes an object, read at the first look), and
/// keep the packs open. Holds no lock.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    packs: Arc<Packs>,
}

/// The same directory.
impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root
    }
}

impl Eq for Store {}

impl Store {
    fn at(root: PathBuf) -> Self {
        let packs = Arc::new(Packs::new(root.join(PACKS)));
        Self { root, packs }
    }

    /// Opens a store that exists.
    ///
    /// # Errors
    /// [`StoreError::NotAStore`] when `objects/` or `tmp/` is missing.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = dir.into();
        if ![OBJECTS, TMP].iter().all(|name| root.join(name).is_dir()) {
            return Err(StoreError::NotAStore { path: root });
        }
        Ok(Self::at(root))
    }

    /// Opens a store, making what is missing of its directories.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn create(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = dir.into();
        let below = [OBJECTS, PACKS, LEASES, TMP, "tuf/metadata", "tuf/targets/images", "tuf/targets/pins"];
        for name in below {
            let path = root.join(name);
            std::fs::create_dir_all(&path)
                .map_err(|source| StoreError::io("create directory", &path, source))?;
        }
        for name in ["tuf/targets", TUF, ""] {
            files::sync_dir(&root.join(name))?;
        }
        Ok(Self::at(root))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Where an object's own file is, or would be.
    pub(crate) fn object_file(&self, id: ObjectId) -> PathBuf {
        self.root.join(id.object_path())
    }

    /// Begins to insert objects.
    ///
    /// # Errors
    /// [`StoreError::Io`] when no private directory can be made.
    pub fn batch(&self) -> Result<Batch<'_>, StoreError> {
        Batch::begin(self)
    }

    /// All objects, each once, in no particular order. Something else between them is [`StoreError::Stray`] or
    /// [`StoreError::BadPack`], once each.
    pub fn list(&self) -> impl Iterator<Item = Result<ObjectId, StoreError>> {
        let (tables, failed) = match self.packs.now() {
            Ok(tables) => (tables, None),
            Err(error) => (Arc::default(), Some(Err(error))),
        };
        let strays = tables.strays.iter().map(|path| StoreError::Stray { path: path.clone() });
        let bad = tables
            .bad
            .iter()
            .map(|(path, source)| StoreError::BadPack { path: path.clone(), source: source.clone() });
        let problems: Vec<_> = strays.chain(bad).map(Err).collect();
        let packed = tables.clone().into_ids().map(Ok);
        let is_packed = move |id: &ObjectId| !tables.find(*id).is_empty();
        let loose = self.loose().filter(move |item| !item.as_ref().is_ok_and(&is_packed));
        packed.chain(loose).chain(problems).chain(failed)
    }

    /// Bytes of all copies of all objects.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn bytes(&self) -> Result<u64, StoreError> {
        let mut total = self.packs.now()?.entries().iter().map(|entry| u64::from(entry.len)).sum();
        for id in self.loose().flatten() {
            total += files::regular_size(self.object_file(id)).ok().flatten().unwrap_or(0);
        }
        Ok(total)
    }

    /// Objects that have files of their own.
    fn loose(&self) -> impl Iterator<Item = Result<ObjectId, StoreError>> + use<> {
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

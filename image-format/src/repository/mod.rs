//! The signed metadata (TUF) inside a store directory, and publishing into it.
//!
//! ```text
//! tuf/metadata/N.<role>.json            root, targets, releases, pins, snapshot: written once, kept for ever
//! tuf/metadata/timestamp.json           the only file that changes, and what everything else hangs on
//! tuf/targets/images/<sha256>.<role>@<version>.json      manifests
//! tuf/targets/images/<sha256>.@patches.<role>@<version>.json   the patches to images
//! tuf/targets/pins/<sha256>.<group>.json                 pins
//! tuf/targets/pins/<sha256>.@assignments.json            which node is in which group
//! ```
//!
//! A [`commit`](Repository::commit) verifies with the client of TUF from the store's own trusted state, checks the rules of
//! Bascule, writes, makes the whole file system durable, renames everything but the timestamp into place, and then the
//! timestamp. A reader that begins with the timestamp sees the state before or after, never a mix; so does one after a power
//! cut. Files that a killed commit left behind under names that are not current yet are replaced by the next one.
//!
//! Where snapshot and timestamp are signed online, a commit comes without them: [`Repository::commit_online`] has them made under
//! the same lock and goes on as with files that were sent. [`Repository::resign`] makes new ones for what is published.
//!
//! The first commit trusts the `1.root.json` that comes with it; every later one must follow from what is there.
//!
//! Concurrency: commits take turns (flock on `tuf/`); readers need no lock. New roots become visible just before the timestamp: a
//! server should serve `N.root.json` only up to [`View::root_version`].
//!
//! *Not* guaranteed: that metadata is unexpired when it is read (nodes judge that); and that objects of images listed before are
//! still there (`verify` reads them).

mod check;
mod collect_error;
mod commit;
mod error;
mod gc;
mod lacking;
mod listing;
mod load;
mod names;
mod online;
mod references;
#[cfg(test)]
mod tests;
mod view;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use signing::TrustedFiles;

pub use self::collect_error::CollectError;
pub use self::commit::Committed;
pub use self::error::{CommitError, ContentError, LoadError};
pub use self::gc::Collection;
pub use self::lacking::{LackingError, lacking};
pub use self::listing::{FLOOR_TARGET, floors, read_floors};
pub use self::names::{MetadataFile, TargetFile, TargetKind};
pub use self::online::{Above, OnlineFault, OnlineSigner, Renewal};
pub use self::view::{View, load_view};
use crate::Sha256;
use crate::store::{Store, StoreError, TUF, files};

/// Files to publish.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upload {
    /// Name below `tuf/metadata/` → content.
    pub metadata: BTreeMap<String, Vec<u8>>,
    /// Name below `tuf/targets/` (`images/<sha256>.ha@1.json`) → content.
    pub targets: BTreeMap<String, Vec<u8>>,
    /// Role → SHA-256 of the file that must be current before: compare and set. Roles that are not named are not compared.
    pub base: BTreeMap<String, Sha256>,
}

/// The metadata of a store.
#[derive(Debug, Clone, Copy)]
pub struct Repository<'s> {
    store: &'s Store,
}

impl<'s> Repository<'s> {
    /// The metadata of `store`. Touches no file.
    pub fn open(store: &'s Store) -> Self {
        Self { store }
    }

    /// The newest verified files, as a client holds them and as signing goes on from them; `None` before the first commit.
    /// Expired ones count: signing anew is how they become valid again.
    ///
    /// # Errors
    /// [`LoadError`] when what is there does not verify.
    pub fn trusted(&self) -> Result<Option<TrustedFiles>, LoadError> {
        Ok(load::load(self)?.map(|client| client.trusted().clone()))
    }

    /// Everything that is published now, ready to be committed elsewhere: all roots, the current metadata, all targets.
    ///
    /// # Errors
    /// [`LoadError`] when what is there does not verify, or a listed target is missing.
    pub fn export(&self) -> Result<Option<Upload>, LoadError> {
        load::load(self)?.map(|client| load::export(self, &client)).transpose()
    }

    /// A metadata file by its name; `None` if it is not there or the name is none.
    ///
    /// # Errors
    /// [`StoreError`]: not a regular file, too large, input/output.
    pub fn read_metadata(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Ok(file) = name.parse::<MetadataFile>() else { return Ok(None) };
        files::read_regular(&self.metadata_path(name), file.max_len())
    }

    /// A target file by its name below `tuf/targets/`; `None` if it is not there or the name is none. The content is not
    /// compared with the digest in the name.
    ///
    /// # Errors
    /// [`StoreError`]: not a regular file, too large, input/output.
    pub fn read_target(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Ok(file) = name.parse::<TargetFile>() else { return Ok(None) };
        files::read_regular(&self.target_path(name), file.max_len())
    }

    /// Names of all metadata files that are there, sorted.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn metadata_names(&self) -> Result<Vec<String>, StoreError> {
        let names = names_in(&self.tuf().join("metadata"))?;
        Ok(names.into_iter().filter(|name| name.parse::<MetadataFile>().is_ok()).collect())
    }

    /// Names of all target files that are there, sorted.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn target_names(&self) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        for dir in ["images", "pins"] {
            let names = names_in(&self.tuf().join("targets").join(dir))?;
            let names = names.into_iter().map(|name| format!("{dir}/{name}"));
            found.extend(names.filter(|name| name.parse::<TargetFile>().is_ok()));
        }
        Ok(found)
    }

    fn tuf(&self) -> PathBuf {
        self.store.path().join(TUF)
    }

    /// `name` has been parsed: it is one plain segment.
    fn metadata_path(&self, name: &str) -> PathBuf {
        self.tuf().join("metadata").join(name)
    }

    /// `name` has been parsed: it is `images/` or `pins/` and one plain segment.
    fn target_path(&self, name: &str) -> PathBuf {
        self.tuf().join("targets").join(name)
    }
}

fn names_in(dir: &Path) -> Result<Vec<String>, StoreError> {
    let error = |source| StoreError::io("list directory", dir, source);
    let listing = match std::fs::read_dir(dir) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(error)?,
    };
    let mut names = Vec::new();
    for entry in listing {
        // A name that is not UTF-8 is none of ours.
        names.extend(entry.map_err(error)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

//! What can go wrong with a store.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::pack::PackError;
use crate::ObjectId;

/// Why the store did not do what was asked for. Nothing half-done is visible in any case.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused; `source` tells a full disk from a missing right.
    #[error("{operation} {}", path.display())]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Not a store directory.
    #[error("{}: expected a store directory with objects/ and tmp/", path.display())]
    NotAStore {
        /// The directory.
        path: PathBuf,
    },
    /// The object is not there.
    #[error("object {id} is not in the store")]
    Missing {
        /// The object.
        id: ObjectId,
    },
    /// Something else than a regular file stands in the object's place.
    #[error("{}: expected a regular file, found {found}", path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// Larger than the caller accepts.
    #[error("{}: expected at most {max} bytes, found {found}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Limit in bytes.
        max: u64,
        /// Size in bytes.
        found: u64,
    },
    /// The bytes are not those of the object: damaged in the store, or wrong when offered.
    #[error("object {expected}: digest does not match, found {found}")]
    Digest {
        /// The object.
        expected: ObjectId,
        /// Digest of the bytes.
        found: ObjectId,
    },
    /// A file among the packs that is none, or is damaged. The objects in it are not in the store.
    #[error("{}: not a pack that can be used", path.display())]
    BadPack {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Arc<PackError>,
    },
    /// A file among the objects that is none.
    #[error("{}: not an object's place", path.display())]
    Stray {
        /// The file.
        path: PathBuf,
    },
}

impl StoreError {
    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { operation, path: path.to_owned(), source }
    }

    /// Whether the disk is full or a quota is used up.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let full = |source: &io::Error| matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge);
        matches!(self, Self::Io { source, .. } if full(source))
    }
}

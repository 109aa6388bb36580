//! Why nothing was collected.

use super::LoadError;
use crate::ObjectId;
use crate::index::IndexError;
use crate::patch::PatchError;
use crate::store::StoreError;

/// Why nothing was collected, or not all.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The metadata cannot be verified: what is referred to is not known.
    #[error("what is published cannot be verified, so nothing is removed")]
    Load(#[from] LoadError),
    /// Everything would go.
    #[error("nothing is published here, so everything would be removed")]
    NothingPublished,
    /// An object that says what else is needed cannot be read.
    #[error("{what} cannot be read, so nothing is removed")]
    Read {
        /// What it is.
        what: String,
        /// Why not.
        source: StoreError,
    },
    /// An index is none.
    #[error("{what} ({id}) cannot be understood, so nothing is removed")]
    Index {
        /// What it is.
        what: String,
        /// The object.
        id: ObjectId,
        /// Why not.
        source: IndexError,
    },
    /// A segment table is none.
    #[error("{what} ({id}) cannot be understood, so nothing is removed")]
    Table {
        /// What it is.
        what: String,
        /// The object.
        id: ObjectId,
        /// Why not.
        source: Box<PatchError>,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

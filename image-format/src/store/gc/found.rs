//! What a collection finds in the store.

use std::path::PathBuf;

use crate::ObjectId;
use crate::store::pack::PackId;

/// An object in a file of its own.
pub(super) struct Loose {
    pub(super) id: ObjectId,
    pub(super) path: PathBuf,
    pub(super) len: u64,
    pub(super) live: bool,
}

/// A pack, and what of it is alive.
pub(super) struct Pack {
    pub(super) id: PackId,
    pub(super) path: PathBuf,
    pub(super) len: u64,
    /// Numbers of its entries in the tables.
    pub(super) live: Vec<usize>,
    pub(super) dead: u64,
}

//! An artifact in the formats of others.
//!
//! All of them verify every chunk on the way, write to a temporary name, make it durable and rename it: what appears is whole, and
//! a damaged store leaves nothing. A killed export leaves at most a file or a directory whose name begins with `.tmp-`.

mod casync;
mod output;
mod raw;
mod tar;
mod zstd;

use image_format::index::Index;
use image_format::store::Store;

pub(crate) use self::casync::{Caibx, casync};
pub(crate) use self::output::{Exists, Output};
pub(crate) use self::raw::raw;
pub(crate) use self::tar::tar;
pub(crate) use self::zstd::{LEVELS, zstd};
use crate::ui::progress::Progress;

/// What is exported: an index and the store of its chunks.
#[derive(Debug)]
pub(crate) struct Artifact<'s> {
    /// Where its chunks are.
    pub(crate) store: &'s Store,
    /// The chunks.
    pub(crate) index: &'s Index,
    /// Counts plain bytes.
    pub(crate) progress: &'s Progress,
}

#[cfg(test)]
mod tests;

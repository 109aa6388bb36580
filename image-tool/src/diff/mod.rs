//! What differs between two images: pure comparisons, one file each.

pub(crate) mod files;
pub(crate) mod packages;
pub(crate) mod transfer;

use serde::Serialize;

/// A value in the first image and in the second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Changed<T> {
    /// In the first.
    pub(crate) from: T,
    /// In the second.
    pub(crate) to: T,
}

impl<T: PartialEq> Changed<T> {
    /// Both values, if they differ.
    pub(crate) fn of(from: T, to: T) -> Option<Self> {
        (from != to).then_some(Self { from, to })
    }
}

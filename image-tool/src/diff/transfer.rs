//! What a node that has image A fetches to install image B.
//!
//! The rule is the installer's in the agent: a chunk whose plain digest the other slot has is taken from there; every other
//! object is fetched once; kernel and initramfs are taken from the other slot when they are the same objects; the index is
//! always fetched. Metadata (kilobytes) is not counted.

use std::collections::HashSet;

use image_format::Manifest;
use image_format::index::Index;
use image_format::manifest::ObjectRef;
use serde::Serialize;

/// Bytes that go over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Transfer {
    /// Distinct chunk objects.
    pub(crate) chunks: u64,
    /// Their stored bytes.
    pub(crate) chunk_bytes: u64,
    /// The kernel's size, if it differs.
    pub(crate) kernel_bytes: u64,
    /// The initramfs's size, if it differs.
    pub(crate) initramfs_bytes: u64,
    /// The index of B.
    pub(crate) index_bytes: u64,
    /// Sum of the four: what the node reports as fetched.
    pub(crate) total_bytes: u64,
    /// What a node with nothing fetches.
    pub(crate) full_bytes: u64,
}

impl Transfer {
    /// From A to B.
    pub(crate) fn of(a: &Manifest, a_index: &Index, b: &Manifest, b_index: &Index) -> Self {
        let have: HashSet<_> =
            a_index.entries().iter().filter(|entry| !entry.is_zero()).map(|entry| entry.chunk).collect();
        let delta = b_index.missing_from(&have);
        let unless_same = |a: ObjectRef, b: ObjectRef| if a.id == b.id { 0 } else { b.size };
        let kernel_bytes = unless_same(a.kernel.object, b.kernel.object);
        let initramfs_bytes = unless_same(a.initramfs, b.initramfs);
        let index_bytes = b.root.index.size;
        let all = b_index.missing_from(&HashSet::new());
        Self {
            chunks: delta.chunks,
            chunk_bytes: delta.stored_bytes,
            kernel_bytes,
            initramfs_bytes,
            index_bytes,
            total_bytes: delta.stored_bytes + kernel_bytes + initramfs_bytes + index_bytes,
            full_bytes: all.stored_bytes + b.kernel.object.size + b.initramfs.size + index_bytes,
        }
    }
}

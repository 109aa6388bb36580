//! What a node that has image A fetches to install image B.
//!
//! The rule is the installer's in the agent: a chunk whose plain digest the other slot has is taken from there; every other
//! object is fetched once, as itself or in a segment; kernel and initramfs are taken from the other slot when they are the same
//! objects; the index is always fetched, as its difference if there is a patch. Metadata (kilobytes) is not counted.

use std::collections::HashSet;

use image_format::Manifest;
use image_format::Sha256;
use image_format::index::Index;
use image_format::manifest::ObjectRef;
use image_format::patch::SegmentTable;
use image_format::patches::Patches;
use image_format::store::Store;
use serde::Serialize;

use crate::patch::Ways;
use crate::publish::read_table;

/// What a node may use besides chunks.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    patch: Option<SegmentTable>,
    stream: Option<SegmentTable>,
    /// Size of the patch of the index.
    index_patch: Option<u64>,
    /// Sizes of the tables.
    bytes: u64,
}

impl Tables {
    /// Reads those from the image with the manifest `from`.
    pub(crate) fn read(store: &Store, patches: &Patches, from: &Sha256) -> anyhow::Result<Self> {
        let mut tables = Self::default();
        if let Some(stream) = &patches.stream {
            tables.stream = Some(read_table(store, patches, stream.table)?);
            tables.bytes += stream.table.size;
        }
        if let Some(patch) = patches.from(from) {
            tables.patch = Some(read_table(store, patches, patch.table)?);
            tables.bytes += patch.table.size;
            tables.index_patch = Some(patch.index.size);
        }
        Ok(tables)
    }
}

/// Bytes that go over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Transfer {
    /// Distinct chunk objects.
    pub(crate) chunks: u64,
    /// Their stored bytes: what the root costs without patch and stream.
    pub(crate) chunk_bytes: u64,
    /// What the root costs by each way.
    pub(crate) ways: Ways,
    /// The kernel's size, if it differs.
    pub(crate) kernel_bytes: u64,
    /// The initramfs's size, if it differs.
    pub(crate) initramfs_bytes: u64,
    /// The index of B, or the patch that makes it.
    pub(crate) index_bytes: u64,
    /// The segment tables that there are.
    pub(crate) table_bytes: u64,
    /// Sum of the cheapest way and the rest: what the node fetches.
    pub(crate) total_bytes: u64,
    /// What a node with nothing fetches.
    pub(crate) full_bytes: u64,
}

impl Transfer {
    /// From A to B.
    pub(crate) fn of(
        (a, a_index): (&Manifest, &Index),
        (b, b_index): (&Manifest, &Index),
        tables: &Tables,
    ) -> Self {
        let have: HashSet<_> =
            a_index.entries().iter().filter(|entry| !entry.is_zero()).map(|entry| entry.chunk).collect();
        let delta = b_index.missing_from(&have);
        let unless_same = |a: ObjectRef, b: ObjectRef| if a.id == b.id { 0 } else { b.size };
        let kernel_bytes = unless_same(a.kernel.object, b.kernel.object);
        let initramfs_bytes = unless_same(a.initramfs, b.initramfs);
        let index_bytes = tables.index_patch.unwrap_or(b.root.index.size);
        let ways = Ways::of(a_index, b_index, tables.patch.as_ref(), tables.stream.as_ref());
        let rest = kernel_bytes + initramfs_bytes + index_bytes + tables.bytes;
        let all = b_index.missing_from(&HashSet::new());
        Self {
            chunks: delta.chunks,
            chunk_bytes: delta.stored_bytes,
            ways,
            kernel_bytes,
            initramfs_bytes,
            index_bytes,
            table_bytes: tables.bytes,
            total_bytes: ways.best + rest,
            full_bytes: all.stored_bytes + b.kernel.object.size + b.initramfs.size + b.root.index.size,
        }
    }
}

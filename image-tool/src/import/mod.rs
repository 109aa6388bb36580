//! An artifact that casync or desync has cut, brought into the local store: fetched chunk by chunk, verified, put together in
//! order, and cut anew by our own rules (other sizes, blocks of 4096 bytes), so that the result is an index like any other.
//!
//! Fetching and cutting overlap: one thread brings groups of chunks, another works on the bytes. Memory stays at a few groups,
//! whatever the artifact. Objects become visible when all are there; a failed import leaves nothing.

mod cut;
mod fetch;

use anyhow::{Context as _, ensure};
use image_format::index::Index;
use image_format::manifest::ObjectRef;
use image_format::store::{Counts, Store};

use crate::casync::{Castr, CasyncIndex};
use crate::ui::progress::Progress;

/// What was brought.
#[derive(Debug)]
pub(crate) struct Imported {
    /// The new index as an object in the store.
    pub(crate) object: ObjectRef,
    /// The new index.
    pub(crate) index: Index,
    /// What was new to the store.
    pub(crate) counts: Counts,
}

/// Brings the artifact that `from` describes out of `castr` into `store`. `progress` counts plain bytes.
pub(crate) fn import(
    store: &Store,
    castr: &Castr,
    from: &CasyncIndex,
    progress: &Progress,
) -> anyhow::Result<Imported> {
    ensure!(from.size() > 0, "the index describes an empty file, which is no artifact");
    let _lease = store.lease().context("begin to import")?;
    let mut batch = store.batch().context("begin a batch of objects")?;
    let index = fetch::stream(castr, from, |reader| cut::cut(reader, &mut batch, progress))?;
    let (expected, found) = (from.size(), index.plain_size());
    ensure!(found == expected, "expected {expected} bytes, cut {found}");
    let bytes = index.encode();
    let id = batch.put(&bytes).context("store the index")?.id;
    let counts = batch.commit().context("store the chunks")?;
    Ok(Imported { object: ObjectRef { id, size: bytes.len() as u64 }, index, counts })
}

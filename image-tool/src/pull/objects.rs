//! The objects of an image.

use image_format::store::Store;
use image_format::{Manifest, ObjectId};

use crate::publish::objects_of;
use crate::source::Source;
use crate::ui::progress::Progress;

/// Stored bytes that are made durable together.
const BATCH: u64 = 64 << 20;

/// Fetches what the local store lacks of an image. Returns the number of objects and their bytes.
pub(crate) fn fetch_objects(
    store: &Store,
    source: &Source,
    manifest: &Manifest,
    progress: &Progress,
) -> anyhow::Result<(u64, u64)> {
    // The index first: it says what else there is.
    let index = manifest.root.index;
    let mut total = get_all(store, source, &[(index.id, index.size)], progress)?;
    let wanted: Vec<_> =
        objects_of(store, manifest)?.into_iter().map(|object| (object.id, object.size)).collect();
    let (mut start, mut size) = (0, 0);
    for end in 1..=wanted.len() {
        size += wanted[end - 1].1;
        if size >= BATCH || end == wanted.len() {
            let (objects, bytes) = get_all(store, source, &wanted[start..end], progress)?;
            total = (total.0 + objects, total.1 + bytes);
            (start, size) = (end, 0);
        }
    }
    Ok(total)
}

fn get_all(
    store: &Store,
    source: &Source,
    wanted: &[(ObjectId, u64)],
    progress: &Progress,
) -> anyhow::Result<(u64, u64)> {
    let mut batch = store.batch()?;
    for (id, size) in wanted {
        if store.size(*id)? != Some(*size) {
            progress.message(id.short());
            batch.put_expected(*id, &source.object(*id, *size)?)?;
        }
    }
    let counts = batch.commit()?;
    Ok((counts.stored, counts.stored_bytes))
}

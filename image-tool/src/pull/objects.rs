//! The objects of an image.

use image_format::patches::Patches;
use image_format::store::Store;
use image_format::{Manifest, ObjectId};

use crate::publish::{Object, objects_of, objects_of_patches};
use crate::source::Source;
use crate::ui::progress::Progress;

/// Stored bytes that are made durable together.
const BATCH: u64 = 64 << 20;

/// Fetches what the local store lacks of the patches to an image. Returns the number of objects and their bytes.
pub(crate) fn fetch_patches(
    store: &Store,
    source: &Source,
    patches: &Patches,
    progress: &Progress,
) -> anyhow::Result<(u64, u64)> {
    // The tables first: they say what else there is.
    let named: Vec<_> = patches.objects().map(|(_, object)| (object.id, object.size)).collect();
    let named = get_all(store, source, &named, progress)?;
    let all = get_batches(store, source, &objects_of_patches(store, patches)?, progress)?;
    Ok((named.0 + all.0, named.1 + all.1))
}

/// Fetches what the local store lacks of an image. Returns the number of objects and their bytes.
pub(crate) fn fetch_objects(
    store: &Store,
    source: &Source,
    manifest: &Manifest,
    progress: &Progress,
) -> anyhow::Result<(u64, u64)> {
    // The index first: it says what else there is.
    let index = manifest.root.index;
    let first = get_all(store, source, &[(index.id, index.size)], progress)?;
    let all = get_batches(store, source, &objects_of(store, manifest)?, progress)?;
    Ok((first.0 + all.0, first.1 + all.1))
}

fn get_batches(
    store: &Store,
    source: &Source,
    wanted: &[Object],
    progress: &Progress,
) -> anyhow::Result<(u64, u64)> {
    let wanted: Vec<_> = wanted.iter().map(|object| (object.id, object.size)).collect();
    let mut total = (0, 0);
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

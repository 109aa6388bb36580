//! The objects of an image, and sending those that are missing.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context as _, ensure};
use fleet_protocol::publish::PACK_MAX;
use image_format::index::{INDEX_MAX, Index};
use image_format::manifest::ObjectRef;
use image_format::patch::{SegmentTable, TABLE_MAX};
use image_format::patches::Patches;
use image_format::store::Store;
use image_format::{Manifest, ObjectId};

use crate::destination::Destination;
use crate::ui::progress::Progress;

/// Bytes sent at a time: what is sent again after a break, and half of the memory taken.
const PACK_SIZE: u64 = 16 << 20;
/// Requests under way at once: one is read and checked here while the other is made durable there.
const SENDERS: usize = 2;

/// An object to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Object {
    /// Its id.
    pub(crate) id: ObjectId,
    /// Stored size in bytes.
    pub(crate) size: u64,
}

/// All objects of an image, each once: artifacts, the index, and what the index lists. Reads the index only.
pub(crate) fn objects_of(store: &Store, manifest: &Manifest) -> anyhow::Result<Vec<Object>> {
    let index = read_index(store, manifest)?;
    let artifacts = manifest.objects().map(|(_, object)| (object.id, object.size));
    let chunks = index.objects().map(|entry| (entry.object, u64::from(entry.stored_len)));
    let sizes: BTreeMap<ObjectId, u64> = artifacts.chain(chunks).collect();
    Ok(sizes.into_iter().map(|(id, size)| Object { id, size }).collect())
}

/// All objects that a list of patches names, each once: segment tables, what they list, index patches.
pub(crate) fn objects_of_patches(store: &Store, patches: &Patches) -> anyhow::Result<Vec<Object>> {
    let mut sizes: BTreeMap<ObjectId, u64> =
        patches.objects().map(|(_, object)| (object.id, object.size)).collect();
    for (table, _) in patches.tables() {
        let table = read_table(store, patches, table)?;
        let segments = table.segments().iter();
        sizes.extend(segments.map(|segment| (segment.object, u64::from(segment.stored_len))));
    }
    Ok(sizes.into_iter().map(|(id, size)| Object { id, size }).collect())
}

/// A segment table, from a store.
pub(crate) fn read_table(store: &Store, patches: &Patches, table: ObjectRef) -> anyhow::Result<SegmentTable> {
    let what = || format!("read a segment table of the patches to {}", patches.image);
    let bytes = store.read(table.id, TABLE_MAX).with_context(what)?;
    SegmentTable::parse(&bytes).with_context(what)
}

/// The index of an image's root, from a store.
pub(crate) fn read_index(store: &Store, manifest: &Manifest) -> anyhow::Result<Index> {
    let what = || format!("read the index of {}", manifest.name);
    let bytes = store.read(manifest.root.index.id, INDEX_MAX).with_context(what)?;
    let index = Index::parse(&bytes).with_context(what)?;
    let (expected, found) = (manifest.root.size, index.plain_size());
    ensure!(expected == found, "{}: expected a root of {expected} bytes, found {found}", what());
    Ok(index)
}

/// Sends `objects` from the local store in packs. What was sent before an error is durable there.
pub(crate) fn upload(
    store: &Store,
    destination: &dyn Destination,
    objects: &[Object],
    progress: &Progress,
) -> anyhow::Result<()> {
    let packs = Mutex::new(packs(objects)?.into_iter());
    let send = || -> anyhow::Result<()> {
        loop {
            // A poisoned lock means that the other sender has panicked, and that panic goes up when the scope ends.
            let next = packs.lock().map_or(None, |mut packs| packs.next());
            let Some(pack) = next else { return Ok(()) };
            let sent = send_pack(store, destination, pack);
            if sent.is_err() {
                // The other sender stops after its pack.
                packs.lock().map(|mut packs| packs.by_ref().for_each(drop)).ok();
            }
            progress.add(sent?);
        }
    };
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(send)).collect();
        senders
            .into_iter()
            .try_for_each(|sender| sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

fn send_pack(store: &Store, destination: &dyn Destination, pack: &[Object]) -> anyhow::Result<u64> {
    let mut bodies = Vec::with_capacity(pack.len());
    for object in pack {
        let bytes =
            store.read(object.id, object.size).with_context(|| format!("read object {}", object.id))?;
        bodies.push((object.id, bytes));
    }
    destination.put(&bodies).with_context(|| format!("send objects to {}", destination.name()))?;
    Ok(pack.iter().map(|object| object.size).sum())
}

/// Cuts the list into packs of about [`PACK_SIZE`]; a larger object goes alone.
fn packs(objects: &[Object]) -> anyhow::Result<Vec<&[Object]>> {
    // Room for the header of every object that could be in the largest pack of the protocol.
    const LARGEST: u64 = PACK_MAX - 4096;
    let mut packs = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (position, object) in objects.iter().enumerate() {
        ensure!(
            object.size <= LARGEST,
            "object {}: expected at most {LARGEST} bytes, found {}",
            object.id,
            object.size
        );
        if position > start && size + object.size > PACK_SIZE {
            packs.push(&objects[start..position]);
            (start, size) = (position, 0);
        }
        size += object.size;
    }
    if start < objects.len() {
        packs.push(&objects[start..]);
    }
    Ok(packs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_cover_everything_once_within_the_limits() {
        let object = |number: u64, size| Object { id: ObjectId::of(&number.to_le_bytes()), size };
        let sizes = [1, PACK_SIZE, 5, PACK_SIZE / 2, PACK_SIZE / 2, 1, 3 * PACK_SIZE, 2];
        let objects: Vec<Object> = (0..).zip(sizes).map(|(number, size)| object(number, size)).collect();
        let packs = packs(&objects).unwrap();
        assert_eq!(packs.concat(), objects);
        for pack in &packs {
            assert!(pack.len() == 1 || pack.iter().map(|object| object.size).sum::<u64>() <= PACK_SIZE);
        }
        assert!(super::packs(&[object(1, PACK_MAX)]).unwrap_err().to_string().contains("at most"));
        assert!(super::packs(&[]).unwrap().is_empty());
    }
}

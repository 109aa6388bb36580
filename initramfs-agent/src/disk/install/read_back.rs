//! Reading back what was written, from the disk and not from a cache.

use image_format::device::Device;
use image_format::index::Index;
use image_format::slot_layout::SlotLayout;
use image_format::verity::Builder;
use image_format::{ChunkId, Manifest, ObjectId};

use super::error::{InstallError, Place};
use super::{Context, Phase, Progress, objects};

const STEP: usize = 1 << 20;

/// Reads the root through the verity tree, which must end in the manifest's root hash; writes the tree, and reads it back.
pub(super) fn root_and_tree(
    target: &dyn Device,
    manifest: &Manifest,
    index: &Index,
    layout: &SlotLayout,
    context: &mut Context<'_>,
) -> Result<(), InstallError> {
    let cold = |place| (context.cold)().map_err(InstallError::io(place, 0));
    cold(Place::Root)?;
    let verity = &manifest.root.verity;
    let mut builder = Builder::new(verity.salt, layout.root.len).map_err(InstallError::Verity)?;
    let mut buffer = vec![0; STEP];
    let mut offset = 0;
    while offset < layout.root.len {
        let piece = &mut buffer[..(layout.root.len - offset).min(STEP as u64) as usize];
        target.read_at(piece, offset).map_err(InstallError::io(Place::Root, offset))?;
        builder.update(piece);
        offset += piece.len() as u64;
        (context.progress)(Progress { phase: Phase::ReadBack, done: offset, total: layout.root.len });
    }
    let tree = builder.finish().map_err(InstallError::Verity)?;
    if tree.root_hash != verity.root_hash {
        return Err(first_wrong_chunk(target, index)?.unwrap_or_else(|| InstallError::ReadBack {
            place: Place::Root,
            offset: 0,
            expected: format!("verity root hash {}", verity.root_hash),
            found: tree.root_hash.to_string(),
        }));
    }
    let at = layout.verity.offset;
    target.write_at(&tree.bytes, at).map_err(InstallError::io(Place::Tree, at))?;
    target.flush().map_err(InstallError::io(Place::Tree, at))?;
    cold(Place::Tree)?;
    compare(target, at, &tree.bytes)
}

fn compare(target: &dyn Device, start: u64, expected: &[u8]) -> Result<(), InstallError> {
    let mut buffer = vec![0; STEP];
    for (number, piece) in expected.chunks(STEP).enumerate() {
        let offset = start + (number * STEP) as u64;
        let found = &mut buffer[..piece.len()];
        target.read_at(found, offset).map_err(InstallError::io(Place::Tree, offset))?;
        if found != piece {
            return Err(InstallError::ReadBack {
                place: Place::Tree,
                offset,
                expected: ObjectId::of(piece).to_string(),
                found: ObjectId::of(found).to_string(),
            });
        }
    }
    Ok(())
}

/// Where the root differs from its index. None: the index and the root hash of a signed manifest contradict each other.
fn first_wrong_chunk(target: &dyn Device, index: &Index) -> Result<Option<InstallError>, InstallError> {
    let mut buffer = Vec::new();
    for (offset, entry) in index.iter_at().filter(|(_, entry)| !entry.is_zero()) {
        buffer.resize(entry.plain_len as usize, 0);
        target.read_at(&mut buffer, offset).map_err(InstallError::io(Place::Root, offset))?;
        let found = ChunkId::of(&buffer);
        if found != entry.chunk {
            let (expected, found) = (entry.chunk.to_string(), found.to_string());
            return Ok(Some(InstallError::ReadBack { place: Place::Root, offset, expected, found }));
        }
    }
    Ok(None)
}

/// Hashes kernel and initramfs, and looks at the zeros behind them. The caches were emptied after they were flushed.
pub(super) fn objects(
    target: &dyn Device,
    manifest: &Manifest,
    layout: &SlotLayout,
) -> Result<(), InstallError> {
    for (place, object, extent) in objects::of(manifest, layout) {
        let found = objects::digest(target, extent).map_err(InstallError::io(place, extent.offset))?;
        if found != object.id {
            return Err(InstallError::ReadBack {
                place,
                offset: extent.offset,
                expected: object.id.to_string(),
                found: found.to_string(),
            });
        }
        let slack = objects::slack(extent);
        let behind = target.read_vec(slack.offset, slack.len as usize);
        if behind.map_err(InstallError::io(place, slack.offset))?.iter().any(|byte| *byte != 0) {
            let (expected, found) = ("zeros behind it".to_owned(), "something else".to_owned());
            return Err(InstallError::ReadBack { place, offset: slack.offset, expected, found });
        }
    }
    Ok(())
}

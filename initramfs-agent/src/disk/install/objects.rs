//! Kernel and initramfs.

use image_format::device::Device;
use image_format::manifest::ObjectRef;
use image_format::slot_layout::{Extent, SlotLayout};
use image_format::{BLOCK, Manifest, ObjectId};

use super::error::{InstallError, Place};
use super::source::Stopped;
use super::{Context, InstallStats, Job, News, Phase, Progress, Seed, Task};

/// Objects are read and copied in pieces of this many bytes.
const STEP: usize = 256 << 10;

/// Kernel and initramfs of an image, and where they lie.
pub(super) fn of(manifest: &Manifest, layout: &SlotLayout) -> [(Place, ObjectRef, Extent); 2] {
    [
        (Place::Kernel, manifest.kernel.object, layout.kernel),
        (Place::Initramfs, manifest.initramfs, layout.initramfs),
    ]
}

/// What lies between an object and the next block. It is zero: a boot loader that reads whole sectors hands it to the kernel,
/// which takes zeros behind an initramfs and nothing else.
pub(super) const fn slack(extent: Extent) -> Extent {
    Extent { offset: extent.end(), len: extent.end().next_multiple_of(BLOCK) - extent.end() }
}

/// Puts both into the slot: from where they are to be, from a seed, from the server.
pub(super) fn copy(
    task: &Task<'_>,
    context: &mut Context<'_>,
    stats: &mut InstallStats,
) -> Result<(), InstallError> {
    let Task { target, job: Job { manifest, resume, .. }, old, seeds, .. } = *task;
    let layout = &task.layout;
    let total = manifest.kernel.object.size + manifest.initramfs.size;
    let mut done = 0;
    for (place, object, extent) in of(manifest, layout) {
        let same = |parts: [(Place, ObjectRef, Extent); 2]| {
            parts.into_iter().find(|(_, other, _)| *other == object).map(|(_, _, extent)| extent)
        };
        let lay_here = old.is_some_and(|old| same(of(&old.manifest, &old.layout)) == Some(extent));
        if (resume || lay_here) && digest(target, extent).is_ok_and(|found| found == object.id) {
            stats.in_place_bytes += object.size;
        } else if copy_from_seed(target, extent, object, seeds, &same)? {
            stats.seed_bytes += object.size;
        } else {
            fetch(target, place, extent, object, context)?;
            stats.fetched_object_bytes += object.size;
        }
        let slack = slack(extent);
        let zeros = vec![0; slack.len as usize];
        target.write_at(&zeros, slack.offset).map_err(InstallError::io(place, slack.offset))?;
        done += object.size;
        (context.progress)(News::Progress(Progress { phase: Phase::Objects, done, total }));
    }
    Ok(())
}

fn copy_from_seed(
    target: &dyn Device,
    to: Extent,
    object: ObjectRef,
    seeds: &[Seed<'_>],
    same: &dyn Fn([(Place, ObjectRef, Extent); 2]) -> Option<Extent>,
) -> Result<bool, InstallError> {
    for seed in seeds {
        let Some(from) = same(of(seed.manifest, seed.layout)) else { continue };
        if !digest(seed.device, from).is_ok_and(|found| found == object.id) {
            continue;
        }
        // Read a second time: what was hashed was not kept. Reading back hashes what arrived.
        let mut buffer = vec![0; STEP];
        let mut done = 0;
        while done < from.len {
            let piece = &mut buffer[..(from.len - done).min(STEP as u64) as usize];
            if seed.device.read_at(piece, from.offset + done).is_err() {
                return Ok(false);
            }
            let offset = to.offset + done;
            target.write_at(piece, offset).map_err(InstallError::io(Place::Slot, offset))?;
            done += piece.len() as u64;
        }
        return Ok(true);
    }
    Ok(false)
}

fn fetch(
    target: &dyn Device,
    place: Place,
    extent: Extent,
    object: ObjectRef,
    context: &mut Context<'_>,
) -> Result<(), InstallError> {
    let mut failed = None;
    let mut done = 0_u64;
    let mut hasher = blake3::Hasher::new();
    let mut sink = |piece: &[u8]| {
        let wrong = |found: String| InstallError::Stored {
            what: place.to_string(),
            expected: format!("{} bytes", object.size),
            found,
        };
        let offset = extent.offset + done;
        done = done.saturating_add(piece.len() as u64);
        let result = if done > object.size {
            Err(wrong("more".to_owned()))
        } else {
            hasher.update(piece);
            target.write_at(piece, offset).map_err(InstallError::io(place, offset))
        };
        result.map_err(|error| {
            failed = Some(error);
            Stopped
        })
    };
    let fetched = context.source.fetch_object(&object, &mut sink);
    if let Some(error) = failed {
        return Err(error);
    }
    fetched.map_err(|source| InstallError::Source { what: format!("{place} {}", object.id), source })?;
    let found = ObjectId::from_bytes(*hasher.finalize().as_bytes());
    if found == object.id {
        return Ok(());
    }
    Err(InstallError::Stored {
        what: place.to_string(),
        expected: object.id.to_string(),
        found: found.to_string(),
    })
}

/// Digest of what lies at `extent`.
pub(super) fn digest(device: &dyn Device, extent: Extent) -> std::io::Result<ObjectId> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; STEP];
    let mut done = 0;
    while done < extent.len {
        let piece = &mut buffer[..(extent.len - done).min(STEP as u64) as usize];
        device.read_at(piece, extent.offset + done)?;
        hasher.update(piece);
        done += piece.len() as u64;
    }
    Ok(ObjectId::from_bytes(*hasher.finalize().as_bytes()))
}

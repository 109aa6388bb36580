//! A lost boot record, rebuilt from what the slots prove.

use image_format::device::Device;
use image_format::record::{ImageRef, Record};
use image_format::state::{BootState, SlotState};
use image_format::verity::{self, Builder};
use image_format::{Sha256, Slot};

use crate::disk::{BootDisk, SlotImage};
use crate::fleet::evidence;
use crate::say;

/// Attempts of the newer one of two slots.
const ATTEMPTS: u8 = 3;

/// How much is read at once, in bytes.
const STEP: usize = 1 << 20;

/// A record from the slots that are whole, manifest, data and verity tree fitting together, and whose image was released as far as
/// the root in the initramfs knows.
pub(super) fn rebuild<D: Device>(disk: &BootDisk<D>, embedded: &[u8]) -> Record {
    rebuild_by(disk, &|image| {
        let name = &image.manifest.name;
        Ok(evidence::check(embedded, &image.evidence, &Record::default(), name, image.digest)?)
    })
}

/// As [`rebuild`], with `released` to say whether an image was.
pub(crate) fn rebuild_by<D: Device>(
    disk: &BootDisk<D>,
    released: &dyn Fn(&SlotImage) -> anyhow::Result<()>,
) -> Record {
    let verified: Vec<(Slot, ImageRef)> =
        Slot::ALL.into_iter().filter_map(|slot| Some((slot, whole(disk, slot, released)?))).collect();
    let mut record = Record::default();
    if !verified.is_empty() {
        say!("record: lost, rebuilt from {} whole slots", verified.len());
        record.state = BootState::rebuilt(verified, ATTEMPTS);
    }
    record
}

fn whole<D: Device>(
    disk: &BootDisk<D>,
    slot: Slot,
    released: &dyn Fn(&SlotImage) -> anyhow::Result<()>,
) -> Option<ImageRef> {
    let image = disk.slot_image(slot).ok()?;
    match released(&image).and_then(|()| verify(&disk.slot(slot), &image)) {
        Ok(()) => Some(ImageRef::of(&image.manifest, image.digest)),
        Err(error) => {
            say!("record: slot {slot} with {} is not used: {error:#}", image.manifest.name);
            None
        }
    }
}

/// Reads the whole root and its tree, and compares both with the manifest.
///
/// # Errors
/// What differs, or what the disk says.
pub(crate) fn verify(slot: &dyn Device, image: &SlotImage) -> anyhow::Result<()> {
    let root = &image.manifest.root;
    let mut builder = Builder::new(root.verity.salt, root.size)?;
    let mut buffer = vec![0; STEP];
    let mut offset = 0;
    while offset < root.size {
        let length = usize::try_from(root.size - offset).unwrap_or(STEP).min(STEP);
        slot.read_at(&mut buffer[..length], offset)?;
        builder.update(&buffer[..length]);
        offset += length as u64;
    }
    let tree = builder.finish()?;
    let expected: Sha256 = root.verity.root_hash;
    anyhow::ensure!(tree.root_hash == expected, "root hash: expected {expected}, found {}", tree.root_hash);
    let length = usize::try_from(verity::tree_len(root.size))?;
    let found = slot.read_vec(image.layout.verity.offset, length)?;
    anyhow::ensure!(found == tree.bytes, "verity tree: other bytes than the data give");
    Ok(())
}

/// Both slots on one line.
pub(super) fn describe(state: &BootState) -> String {
    let slot = |slot: Slot| {
        let preferred = if state.preferred() == Some(slot) { ", preferred" } else { "" };
        match state.slot(slot) {
            SlotState::Empty => format!("{slot} empty"),
            SlotState::Writing { image } => format!("{slot} {} half written", image.name),
            SlotState::Trial { image, attempts, left } => {
                format!("{slot} {} on trial ({left} of {attempts} left)", image.name)
            }
            SlotState::Confirmed { image } => format!("{slot} {} confirmed{preferred}", image.name),
            SlotState::Bad { image, .. } => format!("{slot} {} bad", image.name),
        }
    };
    format!("slot {}; slot {}", slot(Slot::A), slot(Slot::B))
}

//! Where everything lies inside a slot partition.
//!
//! ```text
//! root image | verity tree | kernel | initramfs | (free) | proof area, the last 16 MiB
//! ```
//!
//! Every part begins at a multiple of 4096. The positions follow from the manifest and the partition's length alone, so the
//! installer, dm-verity, the boot loader's block lists and the reader of the proof area cannot disagree.

use crate::manifest::Manifest;
use crate::proof::PROOF_LEN;
use crate::{BLOCK, verity};

/// A range of bytes in a slot partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Offset in bytes, a multiple of [`BLOCK`].
    pub offset: u64,
    /// Length in bytes, not rounded.
    pub len: u64,
}

impl Extent {
    /// The first byte behind it.
    pub const fn end(&self) -> u64 {
        self.offset + self.len
    }
}

/// The parts of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotLayout {
    /// The root image, at 0.
    pub root: Extent,
    /// The dm-verity tree.
    pub verity: Extent,
    /// The kernel file.
    pub kernel: Extent,
    /// The initramfs file.
    pub initramfs: Extent,
    /// The proof area.
    pub proof: Extent,
}

/// Why an image cannot lie in a slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// It needs more room.
    #[error("slot too small: the image needs {needed} bytes, the partition has {found}")]
    TooSmall {
        /// Bytes needed.
        needed: u64,
        /// Length of the partition.
        found: u64,
    },
    /// The root's size is zero or not whole blocks.
    #[error("root image of {0} bytes: expected a multiple of 4096, not zero")]
    NotBlocks(u64),
}

/// Where the proof area of a slot of `slot_len` bytes begins; none when the partition is shorter than that.
pub const fn proof_offset(slot_len: u64) -> Option<u64> {
    match slot_len.checked_sub(PROOF_LEN) {
        Some(offset) => Some(offset / BLOCK * BLOCK),
        None => None,
    }
}

impl SlotLayout {
    /// The layout of `manifest`'s image in a partition of `slot_len` bytes.
    ///
    /// # Errors
    /// [`LayoutError`] with the sizes; sizes that do not fit into 64 bits count as too large.
    pub fn of(manifest: &Manifest, slot_len: u64) -> Result<Self, LayoutError> {
        let size = manifest.root.size;
        if size == 0 || !size.is_multiple_of(BLOCK) {
            return Err(LayoutError::NotBlocks(size));
        }
        let endless = LayoutError::TooSmall { needed: u64::MAX, found: slot_len };
        if size > slot_len {
            return Err(LayoutError::TooSmall { needed: size, found: slot_len });
        }
        let root = Extent { offset: 0, len: size };
        let behind = |before: Extent, len: u64| -> Result<Extent, LayoutError> {
            let offset = before.end().checked_next_multiple_of(BLOCK).ok_or(endless.clone())?;
            offset.checked_add(len).ok_or(endless.clone())?;
            Ok(Extent { offset, len })
        };
        let verity = behind(root, verity::tree_len(size))?;
        let kernel = behind(verity, manifest.kernel.object.size)?;
        let initramfs = behind(kernel, manifest.initramfs.size)?;
        let end = behind(initramfs, PROOF_LEN)?;
        match proof_offset(slot_len) {
            Some(offset) if offset >= end.offset => {
                Ok(Self { root, verity, kernel, initramfs, proof: Extent { offset, len: PROOF_LEN } })
            }
            _ => Err(LayoutError::TooSmall { needed: end.end(), found: slot_len }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_images::manifest;

    const MIB: u64 = 1 << 20;

    #[test]
    fn parts_follow_each_other_on_block_boundaries() {
        let mut manifest = manifest("ha@1", 1);
        manifest.root.size = 1000 * BLOCK;
        manifest.kernel.object.size = 5000;
        manifest.initramfs.size = 1;
        let layout = SlotLayout::of(&manifest, 64 * MIB).unwrap();
        // 1000 data blocks: 8 leaf hash blocks and 1 above them.
        assert_eq!(layout.verity, Extent { offset: 1000 * BLOCK, len: 9 * BLOCK });
        assert_eq!(layout.kernel, Extent { offset: 1009 * BLOCK, len: 5000 });
        assert_eq!(layout.initramfs, Extent { offset: 1011 * BLOCK, len: 1 });
        assert_eq!(layout.proof.offset, 48 * MIB);
    }

    #[test]
    fn the_first_partition_length_that_fits_is_exact() {
        let manifest = manifest("ha@1", 1);
        let Err(LayoutError::TooSmall { needed, found: 0 }) = SlotLayout::of(&manifest, 0) else {
            panic!("an empty partition is too small");
        };
        assert!(needed >= manifest.root.size);
        let Err(LayoutError::TooSmall { needed, .. }) = SlotLayout::of(&manifest, manifest.root.size) else {
            panic!("no room for the proof area");
        };
        assert!(SlotLayout::of(&manifest, needed).is_ok());
        assert!(SlotLayout::of(&manifest, needed - 1).is_err());
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let mut manifest = manifest("ha@1", 1);
        manifest.kernel.object.size = u64::MAX - 5;
        assert!(matches!(SlotLayout::of(&manifest, 64 * MIB), Err(LayoutError::TooSmall { .. })));
        manifest.root.size = 4095;
        assert_eq!(SlotLayout::of(&manifest, 64 * MIB), Err(LayoutError::NotBlocks(4095)));
    }
}

//! dm-verity over a slot: data at its start, the tree where the slot layout says, no superblock.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use image_format::manifest::Root;
use image_format::slot_layout::SlotLayout;
use image_format::{BLOCK, Slot};

use crate::sys::dm::{Control, Target};

/// Length of a device-mapper sector in bytes.
const SECTOR: u64 = 512;

/// Name of the mapped device of a slot.
pub fn device_name(slot: Slot) -> String {
    format!("{}-root", slot.partition())
}

/// The table parameters (Linux, Documentation/admin-guide/device-mapper/verity.rst). A corrupt block restarts the machine:
/// an I/O error would leave a half-working system that still answers its health checks, and a restart counts as an attempt.
pub fn parameters(root: &Root, layout: &SlotLayout, device: &Path) -> String {
    let device = device.display();
    let blocks = root.size / BLOCK;
    let tree = layout.verity.offset / BLOCK;
    let (hash, salt) = (root.verity.root_hash, root.verity.salt);
    format!(
        "1 {device} {device} {BLOCK} {BLOCK} {blocks} {tree} sha256 {hash} {salt} 1 restart_on_corruption"
    )
}

/// Sets up the mapped device of `slot` and returns its node.
///
/// # Errors
/// Names the device-mapper call; the modules `dm_mod` and `dm_verity` must be loaded.
pub fn open(slot: Slot, root: &Root, layout: &SlotLayout, device: &Path) -> anyhow::Result<PathBuf> {
    let control = Control::open().context("open /dev/mapper/control: is the module dm_mod loaded?")?;
    let parameters = parameters(root, layout, device);
    let target = Target { sectors: root.size / SECTOR, kind: "verity", parameters: &parameters };
    let minor = control.create_read_only(&device_name(slot), &target)?;
    Ok(PathBuf::from(format!("/dev/dm-{minor}")))
}

/// Removes the mapped device again, after a mount that failed.
///
/// # Errors
/// It is in use, or gone.
pub fn close(slot: Slot) -> anyhow::Result<()> {
    let control = Control::open().context("open /dev/mapper/control")?;
    Ok(control.remove(&device_name(slot))?)
}

#[cfg(test)]
mod tests {
    use image_format::manifest::{ObjectRef, Verity};
    use image_format::slot_layout::Extent;
    use image_format::{ObjectId, Sha256};

    use super::*;

    #[test]
    fn the_table_is_what_the_kernel_documents() {
        let root = Root {
            size: 1000 * BLOCK,
            index: ObjectRef { id: ObjectId::from_bytes([0; 32]), size: 0 },
            verity: Verity {
                root_hash: Sha256::from_bytes([0xab; 32]),
                salt: Sha256::from_bytes([0x01; 32]),
            },
        };
        let part = |offset| Extent { offset: offset * BLOCK, len: BLOCK };
        let layout = SlotLayout {
            root: part(0),
            verity: part(1000),
            kernel: part(1009),
            initramfs: part(1010),
            proof: part(1011),
        };
        let expected = format!(
            "1 /dev/vda4 /dev/vda4 4096 4096 1000 1000 sha256 {} {} 1 restart_on_corruption",
            "ab".repeat(32),
            "01".repeat(32)
        );
        assert_eq!(parameters(&root, &layout, Path::new("/dev/vda4")), expected);
    }
}

//! The superblock, 128 bytes at offset 1024 of the first block.

use super::BLOCK_LEN;
use super::layout::Layout;

const MAGIC: u32 = 0xE0F5_E1E2;
const OFFSET: usize = 1024;
/// The image's dates are dates of modification.
const COMPAT_MTIME: u32 = 2;
/// Binary logarithm of the block size.
const BLOCK_BITS: u8 = 12;
/// The same in every image: nothing finds a root by it, and it must not depend on chance.
const UUID: [u8; 16] = *b"bascule root v1\0";

/// The first block.
pub(super) fn encode(layout: &Layout, epoch: u64) -> [u8; BLOCK_LEN] {
    let mut block = [0; BLOCK_LEN];
    let mut put = |offset: usize, bytes: &[u8]| {
        block[OFFSET + offset..][..bytes.len()].copy_from_slice(bytes);
    };
    put(0, &MAGIC.to_le_bytes());
    put(8, &COMPAT_MTIME.to_le_bytes());
    put(12, &[BLOCK_BITS]);
    put(14, &layout.root_nid.to_le_bytes());
    put(16, &layout.inodes.to_le_bytes());
    put(24, &epoch.to_le_bytes());
    put(36, &layout.blocks.to_le_bytes());
    put(40, &layout.meta_block.to_le_bytes());
    put(48, &UUID);
    put(64, b"bascule");
    block
}

//! The superblock, 128 bytes at offset 1024 of the first block.

use super::BLOCK_LEN;
use super::layout::Layout;

const MAGIC: u32 = 0xE0F5_E1E2;
const OFFSET: usize = 1024;
/// The image's dates are dates of modification.
const COMPAT_MTIME: u32 = 2;
/// Binary logarithm of the block size.
const BLOCK_BITS: u8 = 12;

/// The UUID of a file system with these inodes and directories (RFC 9562, version 8: made of a digest).
///
/// Overlays keep file handles of their lower layer, UUID and inode number, on the state partition. An image whose inodes have other
/// numbers must have another UUID, or the handles of the one before would point at whatever is there now.
pub(super) fn uuid<'b>(parts: impl IntoIterator<Item = &'b [u8]>) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

/// The first block.
pub(super) fn encode(layout: &Layout, epoch: u64, uuid: &[u8; 16]) -> [u8; BLOCK_LEN] {
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
    put(48, uuid);
    put(64, b"bascule");
    block
}

//! What a Bascule image is: digests, chunking, index, manifest, verity tree, disk layout, boot record and its state
//! machine. No network.
//!
//! Layout of the crate: `digest`, `name`, `slot` are the words; `manifest`, `pin` are what gets signed; the other modules
//! each hold one on-disk or on-wire format together with its parser.

mod by_text;
pub mod chunker;
pub mod codec;
pub mod device;
pub mod digest;
pub mod disk_layout;
pub mod document;
pub mod evidence;
pub mod grub_env;
pub mod index;
pub mod manifest;
pub mod name;
pub mod patch;
pub mod patches;
pub mod pin;
pub mod proof;
pub mod record;
pub mod repository;
pub mod slot;
pub mod slot_layout;
pub mod state;
pub mod store;
#[cfg(any(test, feature = "sim"))]
pub mod test_images;
pub mod verity;

pub use digest::{ChunkId, ObjectId, Sha256};
pub use manifest::Manifest;
pub use name::{Group, ImageName, NodeId, Role, Version};
pub use slot::Slot;

/// Size of a block in bytes: the unit of chunk boundaries, of dm-verity and of EROFS file alignment.
///
/// Every stored index and every slot layout depends on it.
pub const BLOCK: u64 = 4096;

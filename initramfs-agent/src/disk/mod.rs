//! The node's disk: finding it, making the layout, the record, and writing an image into a slot.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`find`] | which disk: the one that is ours, else one that may become ours |
//! | [`boot_disk`] | the disk in use: partitions, record, proof areas, boot loader |
//! | [`install`] | writes an image into a slot and reads it back |
//! | [`update`] | an installation with its record transitions, in the order that survives a power cut |
//!
//! All access goes through the whole disk's device, never through a partition's: the kernel caches each on its own.

pub mod boot_disk;
pub mod find;
pub mod install;
#[cfg(test)]
mod tests;
pub mod update;

pub use self::boot_disk::{BootDisk, DiskError, SlotImage};
pub use self::find::{Disk, FindError, Survey};
pub use self::install::{ChunkSource, InstallError, InstallStats, News, Progress, SourceError};
pub use self::update::{Update, UpdateError};

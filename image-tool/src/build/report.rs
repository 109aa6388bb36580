//! What a build reports, on the console and in `build.json`.

use image_format::{ImageName, Sha256};
use serde::Serialize;

use super::archive_state::ArchiveState;
use super::compare::Differences;
use super::stages::Stage;

/// A finished build.
#[derive(Debug, Serialize)]
pub(crate) struct Built {
    /// `role@version`.
    pub(crate) image: ImageName,
    /// SHA-256 of the manifest: the image's identity.
    pub(crate) manifest: Sha256,
    /// Release counter.
    pub(crate) counter: u64,
    /// Root hash of the verity tree.
    pub(crate) root_hash: Sha256,
    /// Whether the same image had been built before.
    pub(crate) identical: bool,
    /// Sizes in bytes.
    pub(crate) sizes: Sizes,
    /// Objects that the store did not have.
    pub(crate) new_objects: u64,
    /// Their bytes.
    pub(crate) new_bytes: u64,
    /// Chunking, hashing and compressing: MB of root image per second.
    pub(crate) chunk_mb_per_s: f64,
    /// Stages with their times.
    pub(crate) stages: Vec<Stage>,
    /// The Debian archives as they were; they may have moved on when the same image is built again.
    pub(crate) archives: Vec<ArchiveState>,
    /// Differences to the image that was to be compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) differences: Option<Differences>,
}

/// Sizes of an image's parts in bytes, and its number of chunks.
#[derive(Debug, Serialize)]
pub(crate) struct Sizes {
    /// The root image.
    pub(crate) root: u64,
    /// Its chunks without runs of zeros.
    pub(crate) chunks: u64,
    /// Of these, how many an earlier image had.
    pub(crate) chunks_known: u64,
    /// All chunks as stored.
    pub(crate) stored: u64,
    /// The kernel.
    pub(crate) kernel: u64,
    /// The initramfs.
    pub(crate) initramfs: u64,
    /// The boot loader's images.
    pub(crate) bios: u64,
    /// The index of chunks.
    pub(crate) index: u64,
    /// The file list.
    pub(crate) files: u64,
}

/// MB per second, one decimal.
pub(crate) fn rate(bytes: u64, seconds: f64) -> f64 {
    if seconds <= 0.0 {
        return 0.0;
    }
    (bytes as f64 / 1e5 / seconds).round() / 10.0
}

//! What the agent in the initramfs leaves for the agent in the booted system, `/run/bascule/boot.json`.

use image_format::{Group, ImageName, Manifest, NodeId, Sha256, Slot};
use serde::{Deserialize, Serialize};

/// Where it lies in the booted system.
pub const BOOT_INFO_PATH: &str = "/run/bascule/boot.json";

/// What was booted and who to report to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootInfo {
    /// This node.
    pub node: NodeId,
    /// Its group.
    pub group: Option<Group>,
    /// The slot that is mounted as root.
    pub slot: Slot,
    /// The image in it.
    pub image: ImageName,
    /// SHA-256 of its manifest.
    pub manifest_digest: Sha256,
    /// Its manifest, for the health checks.
    pub manifest: Manifest,
    /// Which attempt of a trial this is, 1 = first; none when the slot was confirmed before.
    pub attempt: Option<u8>,
    /// Device node of the record partition.
    pub record_device: String,
    /// Device node of the whole disk.
    pub disk_device: String,
    /// Base URL of the admin listener for reports, without a trailing slash; none when no server is known.
    pub report_url: Option<String>,
    /// Stored bytes fetched for the installation in this boot; none when nothing was installed.
    pub fetched_bytes: Option<u64>,
}

//! What a node tells the server, `POST /v1/nodes/{id}/report` on the admin listener.

use image_format::{Group, ImageName, NodeId, Sha256, Slot};
use serde::{Deserialize, Serialize};

/// Largest report accepted, in bytes.
pub const REPORT_MAX: u64 = 64 << 10;

/// A node's account of itself. Every report is complete: the server keeps the last one and a short list of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Who reports.
    pub node: NodeId,
    /// The group that signed assignments gave it; none before the first verified metadata.
    pub group: Option<Group>,
    /// What happened now.
    pub event: Event,
    /// One line for people: what, and for failures why.
    pub message: String,
    /// The slot that is running, or is about to run.
    pub slot: Option<Slot>,
    /// The image in that slot.
    pub image: Option<ImageName>,
    /// SHA-256 of that image's manifest.
    pub manifest: Option<Sha256>,
    /// Which attempt of a trial this boot is, 1 = first; none for a confirmed slot.
    pub attempt: Option<u8>,
    /// Health of the running image. "Installed" is never "healthy".
    pub health: Health,
    /// Both slots as the boot record has them.
    pub slots: Vec<SlotReport>,
    /// Images that this node refuses to try again.
    pub quarantine: Vec<Quarantined>,
    /// Bytes fetched from the server for the last installation (chunks and artifacts, stored size).
    pub fetched_bytes: Option<u64>,
    /// Release of the running kernel.
    pub kernel: String,
    /// Version of the agent.
    pub agent: String,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The agent is up in the initramfs and has decided.
    Booting,
    /// An image is being written to a slot.
    Installing,
    /// An image was written and read back; not yet booted.
    Installed,
    /// The system is up; the health checks are running.
    Started,
    /// All health checks passed and the slot is confirmed.
    Confirmed,
    /// A health check failed, or the time is over.
    Unhealthy,
    /// Attempts ran out: the image is quarantined and the other slot boots.
    RolledBack,
    /// Something was refused or failed; the message says what.
    Failed,
    /// Regular sign of life.
    Alive,
    /// A variant of a newer agent.
    #[serde(other)]
    Unknown,
}

/// Health of the running image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// No verdict yet.
    Pending,
    /// All checks passed.
    Healthy,
    /// A check failed.
    Unhealthy,
    /// A variant of a newer agent.
    #[serde(other)]
    Unknown,
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotReport {
    /// Which.
    pub slot: Slot,
    /// Its state.
    pub state: SlotStateName,
    /// The image in it.
    pub image: Option<ImageName>,
}

/// The name of a slot state of the boot record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotStateName {
    /// Nothing usable.
    Empty,
    /// An installation is under way or was interrupted.
    Writing,
    /// Written and read back, not yet confirmed.
    Trial,
    /// Booted and passed its health checks.
    Confirmed,
    /// Failed.
    Bad,
    /// A variant of a newer agent.
    #[serde(other)]
    Unknown,
}

/// An image that the node will not try again until an admin says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Its name.
    pub image: ImageName,
    /// SHA-256 of its manifest: the quarantine is on this.
    pub manifest: Sha256,
    /// Why.
    pub reason: String,
}

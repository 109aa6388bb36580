//! What is inside signed messages.

use image_format::{Group, NodeId, Sha256};
use serde::{Deserialize, Serialize};

use super::boot_id::BootId;
use crate::join::{JoinProof, TokenId};
use crate::node::EnrolmentState;
use crate::report::Report;

/// Largest `POST /v1/nodes/{id}/enrol` body, in bytes.
pub const ENROL_MAX: u64 = 4 << 10;

/// A report under a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedReport {
    /// Higher than that of every message this key signed before.
    pub number: u64,
    /// The boot that it comes from.
    pub boot: BootId,
    /// The report; the node in it is the node that signs.
    pub report: Report,
}

/// `POST /v1/nodes/{id}/enrol`: this is my key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// Who asks.
    pub node: NodeId,
    /// As in [`SignedReport::number`]: one row of numbers for both kinds.
    pub number: u64,
    /// The boot that it comes from.
    pub boot: BootId,
    /// SHA-256 of the root of trust that the node started with.
    pub root: Sha256,
    /// With a join token; without one an admin has to approve.
    pub join: Option<Joining>,
    /// Why the node has this key and no older one, for people: a new disk, a damaged file.
    pub reason: String,
}

/// Proof of a join token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joining {
    /// Which token.
    pub id: TokenId,
    /// The group that the token names.
    pub group: Option<Group>,
    /// That the node has its secret.
    pub proof: JoinProof,
}

/// The answer to [`Enrol`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolAnswer {
    /// What this key is for the server now.
    pub state: EnrolmentState,
    /// One line for people.
    pub message: String,
}

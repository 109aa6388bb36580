//! What the server tells about a node, `GET /v1/nodes`.

use image_format::{Group, ImageName, NodeId};
use serde::{Deserialize, Serialize};

use crate::identity::NodePublicKey;
use crate::report::Report;

/// A node as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its id.
    pub node: NodeId,
    /// The group that signed assignments, or its enrolment, give it now.
    pub group: Option<Group>,
    /// The image that this group is pinned to now.
    pub pinned: Option<ImageName>,
    /// What it last reported; none for a node that only asked for a boot script.
    pub report: Option<Report>,
    /// Time of the last sign of life (report or boot request), RFC 3339 in UTC.
    pub last_seen: String,
    /// What it showed when it asked for its boot script (`mac`, `uuid`, `serial`, …).
    pub identity: std::collections::BTreeMap<String, String>,
    /// Its key, and what is known of it.
    #[serde(default)]
    pub enrolment: Enrolment,
    /// Latest events, newest first.
    pub events: Vec<NodeEvent>,
}

/// An event in a node's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEvent {
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// What happened, in the words of [`crate::Event`], or `boot-request`, or in those of [`Alert::kind`], or `approved`, `revoked`.
    pub event: String,
    /// One line for people.
    pub message: String,
    /// Said by a report without the signature of the node's approved key, although it has one: anybody can have said it.
    #[serde(default)]
    pub unsigned: bool,
}

/// What a node's key is for the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnrolmentState {
    /// The node has shown no key.
    #[default]
    None,
    /// It has shown one, and an admin has to approve it.
    Pending,
    /// Its key is approved: only what it signs counts.
    Approved,
    /// Its key was revoked, and it has shown no other.
    Revoked,
    /// A variant of a newer server.
    #[serde(other)]
    Unknown,
}

impl EnrolmentState {
    /// As people and metrics call it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
        }
    }
}

/// How far the last report of a node can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportTrust {
    /// Nobody signed it.
    #[default]
    Unsigned,
    /// Signed by a key that nobody has approved.
    Pending,
    /// Signed by the approved key.
    Approved,
    /// A variant of a newer server.
    #[serde(other)]
    Unknown,
}

/// The keys of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Enrolment {
    /// In one word.
    pub state: EnrolmentState,
    /// One line for people that says why.
    pub reason: Option<String>,
    /// The approved key; it may be revoked.
    pub approved: Option<KeyView>,
    /// Keys that wait for approval, the one seen last first.
    pub pending: Vec<KeyView>,
    /// The group fixed at enrolment; it counts where signed assignments do not name the node.
    pub group: Option<Group>,
    /// How far the last report can be believed.
    pub report: ReportTrust,
    /// Set when the node's key seems to be used by two machines: what was seen.
    pub used_twice: Option<String>,
    /// What was refused, by kind.
    pub alerts: Vec<Alert>,
}

/// One key of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// The key.
    pub key: NodePublicKey,
    /// When it was seen first or approved, RFC 3339 in UTC.
    pub since: String,
    /// When it signed something last, RFC 3339 in UTC.
    pub last_used: String,
    /// Number of the last message accepted from it.
    pub number: u64,
    /// Who approved it, or why it waits.
    pub note: String,
    /// When it was revoked, RFC 3339 in UTC.
    pub revoked: Option<String>,
}

/// What was refused, counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// `bad-signature`, `wrong-node`, `other-key`, `revoked-key`, `replayed`, `key-used-twice`, `join-refused`.
    pub kind: String,
    /// When first, RFC 3339 in UTC.
    pub first: String,
    /// When last, RFC 3339 in UTC.
    pub last: String,
    /// How often.
    pub count: u64,
    /// What was seen last.
    pub message: String,
}

/// `POST /v1/nodes/{id}/approve`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// The key, or at least its first [`KEY_PREFIX_MIN`] digits; needed when more than one key waits.
    pub key: Option<String>,
}

/// `POST /v1/nodes/{id}/revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// The key, or at least its first [`KEY_PREFIX_MIN`] digits; none: every key of the node.
    pub key: Option<String>,
    /// Why, for people; at most [`REASON_MAX`] bytes.
    pub reason: String,
}

/// Fewest digits that name a key.
pub const KEY_PREFIX_MIN: usize = 8;

/// Longest reason, in bytes.
pub const REASON_MAX: usize = 300;

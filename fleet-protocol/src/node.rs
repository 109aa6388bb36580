//! What the server tells about a node, `GET /v1/nodes`.

use image_format::{Group, ImageName, NodeId};
use serde::{Deserialize, Serialize};

use crate::report::Report;

/// A node as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its id.
    pub node: NodeId,
    /// The group that signed assignments give it now.
    pub group: Option<Group>,
    /// The image that this group is pinned to now.
    pub pinned: Option<ImageName>,
    /// What it last reported; none for a node that only asked for a boot script.
    pub report: Option<Report>,
    /// Time of the last sign of life (report or boot request), RFC 3339 in UTC.
    pub last_seen: String,
    /// What it showed when it asked for its boot script (`mac`, `uuid`, `serial`, …).
    pub identity: std::collections::BTreeMap<String, String>,
    /// Latest events, newest first.
    pub events: Vec<NodeEvent>,
}

/// An event in a node's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEvent {
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// What happened, in the words of [`crate::Event`], or `boot-request`.
    pub event: String,
    /// One line for people.
    pub message: String,
}

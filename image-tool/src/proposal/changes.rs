//! What a proposal changes, in terms of people.

use image_format::pin::DiskConsent;
use image_format::{Group, ImageName, NodeId, Role, Sha256};
use serde::Serialize;
use signing::UnixTime;
use signing::key::KeyId;

use crate::keys::KeyRole;

/// A value before (none: it is new) and after (none: it is gone).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Turn<T> {
    pub(crate) from: Option<T>,
    pub(crate) to: Option<T>,
}

/// What becomes of one role's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RoleChange {
    pub(crate) role: KeyRole,
    pub(crate) version: Turn<u64>,
    pub(crate) expires: Turn<UnixTime>,
    /// Who may sign what: of every role that this one speaks for, changed or not.
    pub(crate) signers: Vec<SignersChange>,
    /// What else changes; nothing: the role is only signed anew.
    pub(crate) content: Vec<ContentChange>,
}

/// Who may sign for a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SignersChange {
    pub(crate) role: KeyRole,
    pub(crate) threshold: Turn<u32>,
    pub(crate) kept: Vec<KeyId>,
    pub(crate) added: Vec<KeyId>,
    pub(crate) removed: Vec<KeyId>,
}

/// One line of content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ContentChange {
    /// An image becomes a release, or is listed no more.
    Image {
        name: ImageName,
        manifest: Turn<Sha256>,
        /// Of a new one.
        counter: Option<u64>,
    },
    /// The patches to an image.
    Patches {
        name: ImageName,
        /// SHA-256 of the list.
        document: Turn<Sha256>,
        /// What the new list has patches from.
        from: Vec<ImageName>,
        /// Whether the new list has the whole stream.
        stream: bool,
    },
    /// What a group runs.
    Pin {
        group: Group,
        image: Turn<ImageName>,
        /// Of the new pin.
        manifest: Option<Sha256>,
        disk: Turn<DiskConsent>,
    },
    /// Where a node belongs; no node: every other one.
    Assignment { node: Option<NodeId>, group: Turn<Group> },
    /// The lowest release counter that nodes install of a role.
    Floor { role: Role, counter: Turn<u64> },
}

impl<T: PartialEq> Turn<T> {
    /// From one to the other.
    pub(super) fn new(from: Option<T>, to: Option<T>) -> Self {
        Self { from, to }
    }

    /// Whether both are the same.
    pub(crate) fn is_same(&self) -> bool {
        self.from == self.to
    }
}

impl SignersChange {
    /// Whether the same keys go on as before.
    pub(crate) fn is_same(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.threshold.is_same()
    }
}

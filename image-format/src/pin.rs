//! What an admin signs: which image a group runs, and which node belongs to which group.
//!
//! Both travel as canonical JSON, TUF targets under the `pins` delegation.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::document::{Document, DocumentError};
use crate::{Group, ImageName, NodeId, Sha256};

/// The value of `format` that this code reads and writes.
pub const PIN_FORMAT: u32 = 1;

/// Largest pin read, in bytes.
pub const PIN_MAX: u64 = 64 << 10;

/// Largest assignments file read, in bytes: about 100,000 nodes.
pub const ASSIGNMENTS_MAX: u64 = 8 << 20;

/// TUF target path of the assignments. `@` cannot begin a group name, so no group collides with it.
pub const ASSIGNMENTS_PATH: &str = "pins/@assignments.json";

/// TUF target path of a group's pin.
pub fn pin_path(group: &Group) -> String {
    format!("pins/{group}.json")
}

/// The pin of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Always [`PIN_FORMAT`].
    pub format: u32,
    /// The group, again inside the signed bytes, so that one group's pin cannot stand for another's.
    pub group: Group,
    /// What the group runs.
    pub stable: PinnedImage,
    /// Consent to overwrite a disk that holds something else; without it only a blank disk is laid out.
    pub disk: Option<DiskConsent>,
}

impl Pin {
    /// Reads a pin from bytes that anybody may have sent.
    ///
    /// # Errors
    /// [`DocumentError`]: larger than [`PIN_MAX`], not strict JSON, unknown or missing fields, values out of range.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        Self::read(bytes)
    }

    /// The canonical bytes. Refuses what [`Pin::parse`] would refuse.
    ///
    /// # Errors
    /// [`DocumentError::Field`] names the first field that is not acceptable.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DocumentError> {
        self.write()
    }
}

impl Document for Pin {
    const WHAT: &'static str = "pin";
    const MAX: u64 = PIN_MAX;
    const FORMATS: RangeInclusive<u32> = PIN_FORMAT..=PIN_FORMAT;

    fn check(&self) -> Result<(), DocumentError> {
        Self::check_format(self.format.into())?;
        let disk = self.disk.as_ref().map(|consent| consent.disk.as_str());
        disk.map_or(Ok(()), |disk| Self::text("disk.disk", disk, 128))
    }
}

/// An image as a pin names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedImage {
    /// `role@version`.
    pub name: ImageName,
    /// SHA-256 of the manifest; must equal what `releases` lists.
    pub manifest: Sha256,
}

/// Which disk may be used, and whether foreign data on it may be destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskConsent {
    /// Kernel name (`vda`) or serial number of the disk.
    pub disk: String,
    /// Whether foreign partitions on that disk may be destroyed.
    pub wipe: bool,
}

/// Which group each node belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignments {
    /// Always [`PIN_FORMAT`].
    pub format: u32,
    /// Group of nodes that are not listed; none: such nodes get nothing.
    pub default: Option<Group>,
    /// Listed nodes.
    pub nodes: BTreeMap<NodeId, Group>,
}

impl Assignments {
    /// No node, no default.
    pub fn empty() -> Self {
        Self { format: PIN_FORMAT, default: None, nodes: BTreeMap::new() }
    }

    /// Reads assignments from bytes that anybody may have sent.
    ///
    /// # Errors
    /// [`DocumentError`]: larger than [`ASSIGNMENTS_MAX`], not strict JSON (a node listed twice), unknown or missing
    /// fields, another format.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        Self::read(bytes)
    }

    /// The canonical bytes. Refuses what [`Assignments::parse`] would refuse.
    ///
    /// # Errors
    /// [`DocumentError`]: another format, or more nodes than [`ASSIGNMENTS_MAX`] bytes hold.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DocumentError> {
        self.write()
    }

    /// The group of `node`, of which nothing else is known.
    pub fn group_of(&self, node: &NodeId) -> Option<&Group> {
        self.group_with(node, None)
    }

    /// The group of `node`, which was enrolled for the group `enrolled`: what the assignments say of this node by name comes
    /// first, then its enrolment, then the default.
    pub fn group_with<'g>(&'g self, node: &NodeId, enrolled: Option<&'g Group>) -> Option<&'g Group> {
        self.nodes.get(node).or(enrolled).or(self.default.as_ref())
    }
}

impl Document for Assignments {
    const WHAT: &'static str = "assignments";
    const MAX: u64 = ASSIGNMENTS_MAX;
    const FORMATS: RangeInclusive<u32> = PIN_FORMAT..=PIN_FORMAT;

    fn check(&self) -> Result<(), DocumentError> {
        Self::check_format(self.format.into())
    }
}

#[cfg(test)]
mod tests;

//! Snapshot (spec 4.4): the versions of all targets files that belong together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Extra, MetaFile, RoleMetadata};
use crate::time::UnixTime;

/// Content of `N.snapshot.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    #[serde(rename = "_type")]
    pub(crate) kind: String,
    /// Version of the specification.
    pub spec_version: String,
    /// Counts up from 1.
    #[serde(deserialize_with = "super::positive")]
    pub version: u64,
    /// End of validity.
    pub expires: UnixTime,
    /// What is said of the targets roles.
    pub meta: SnapshotMeta,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The `meta` of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotMeta {
    /// The only acceptable top-level targets.
    #[serde(rename = "targets.json")]
    pub targets: MetaFile,
    /// `<role>.json` of every delegated role → its only acceptable version.
    #[serde(flatten)]
    pub delegated: BTreeMap<String, MetaFile>,
}

impl SnapshotMeta {
    /// What is said of a delegated role.
    pub fn role(&self, role: &str) -> Option<&MetaFile> {
        self.delegated.get(&format!("{role}.json"))
    }
}

impl RoleMetadata for Snapshot {
    const TYPE: &'static str = "snapshot";

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> UnixTime {
        self.expires
    }
}

//! Snapshot (spec 4.4): the versions of all targets files that belong together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Extra, MetaFile, RoleMetadata};
use crate::error::TrustError;
use crate::time::UnixTime;

const TARGETS: &str = "targets.json";

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
    /// `<role>.json` → its only acceptable version.
    pub meta: BTreeMap<String, MetaFile>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Snapshot {
    /// What is said of a targets role.
    pub fn role(&self, role: &str) -> Option<&MetaFile> {
        self.meta.get(&format!("{role}.json"))
    }

    /// What is said of the top-level targets.
    pub fn targets(&self) -> &MetaFile {
        self.meta.get(TARGETS).expect("`check` refuses a snapshot without targets.json")
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

    fn check(&self, role: &str) -> Result<(), TrustError> {
        if self.meta.contains_key(TARGETS) {
            Ok(())
        } else {
            Err(TrustError::malformed(role, "meta does not list targets.json"))
        }
    }
}

//! Timestamp (spec 4.6): which snapshot is current.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Extra, MetaFile, RoleMetadata};
use crate::error::TrustError;
use crate::time::UnixTime;

const SNAPSHOT: &str = "snapshot.json";

/// Content of `timestamp.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    #[serde(rename = "_type")]
    pub(crate) kind: String,
    /// Version of the specification.
    pub spec_version: String,
    /// Counts up from 1.
    #[serde(deserialize_with = "super::positive")]
    pub version: u64,
    /// End of validity.
    pub expires: UnixTime,
    /// Has the one entry `snapshot.json`.
    pub meta: BTreeMap<String, MetaFile>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Timestamp {
    /// What is said of the snapshot.
    pub fn snapshot(&self) -> &MetaFile {
        self.meta.get(SNAPSHOT).expect("`check` refuses a timestamp without snapshot.json")
    }
}

impl RoleMetadata for Timestamp {
    const TYPE: &'static str = "timestamp";

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> UnixTime {
        self.expires
    }

    fn check(&self, role: &str) -> Result<(), TrustError> {
        if self.meta.contains_key(SNAPSHOT) {
            Ok(())
        } else {
            Err(TrustError::malformed(role, "meta does not list snapshot.json"))
        }
    }
}

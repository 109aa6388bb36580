//! Targets (spec 4.5), top-level and delegated: what may be installed, and who else may say so.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Delegations, Extra, Hashes, RoleMetadata};
use crate::error::TrustError;
use crate::json::Value;
use crate::time::UnixTime;

/// Content of `N.targets.json` and of every delegated role's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    #[serde(rename = "_type")]
    pub(crate) kind: String,
    /// Version of the specification.
    pub spec_version: String,
    /// Counts up from 1.
    #[serde(deserialize_with = "super::positive")]
    pub version: u64,
    /// End of validity.
    pub expires: UnixTime,
    /// Target path → what it must be.
    pub targets: BTreeMap<String, Target>,
    /// Who else may name targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One target file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Exact length in bytes.
    pub length: u64,
    /// Hashes of the file.
    pub hashes: Hashes,
    /// What the repository wants to say about it; opaque to TUF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Value>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl RoleMetadata for Targets {
    const TYPE: &'static str = "targets";

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> UnixTime {
        self.expires
    }

    fn check(&self, role: &str) -> Result<(), TrustError> {
        self.delegations.as_ref().map_or(Ok(()), |delegations| delegations.check(role))
    }
}

//! Root (spec 4.3): which keys speak for which top-level role.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::signers::check_keys;
use super::{Extra, RoleMetadata, Signers};
use crate::error::TrustError;
use crate::key::{Key, KeyId};
use crate::time::UnixTime;

/// Content of `N.root.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    #[serde(rename = "_type")]
    pub(crate) kind: String,
    /// Version of the specification.
    pub spec_version: String,
    /// Counts up from 1 without gaps.
    #[serde(deserialize_with = "super::positive")]
    pub version: u64,
    /// End of validity; checked only for the newest root.
    pub expires: UnixTime,
    /// Whether metadata files carry their version in their name.
    #[serde(default)]
    pub consistent_snapshot: bool,
    /// All keys that the roles refer to.
    pub keys: BTreeMap<KeyId, Key>,
    /// Who signs what.
    pub roles: RootRoles,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The signers of the four top-level roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRoles {
    /// Signers of the next root.
    pub root: Signers,
    /// Signers of the top-level targets.
    pub targets: Signers,
    /// Signers of the snapshot.
    pub snapshot: Signers,
    /// Signers of the timestamp.
    pub timestamp: Signers,
    /// Unknown roles (`mirrors`).
    #[serde(flatten)]
    pub extra: Extra,
}

impl RoleMetadata for Root {
    const TYPE: &'static str = "root";

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> UnixTime {
        self.expires
    }

    fn check(&self, role: &str) -> Result<(), TrustError> {
        let RootRoles { root, targets, snapshot, timestamp, .. } = &self.roles;
        [root, targets, snapshot, timestamp].into_iter().try_for_each(|signers| signers.check(role))?;
        check_keys(role, &self.keys)
    }
}

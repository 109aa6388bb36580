//! Timestamp (spec 4.6): which snapshot is current.

use serde::{Deserialize, Serialize};

use super::{Extra, MetaFile, RoleMetadata};
use crate::time::UnixTime;

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
    /// What is said of the snapshot.
    pub meta: TimestampMeta,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The `meta` of a timestamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimestampMeta {
    /// The only acceptable snapshot.
    #[serde(rename = "snapshot.json")]
    pub snapshot: MetaFile,
    /// Unknown files.
    #[serde(flatten)]
    pub extra: Extra,
}

impl RoleMetadata for Timestamp {
    const TYPE: &'static str = "timestamp";

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> UnixTime {
        self.expires
    }
}

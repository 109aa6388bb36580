//! Bodies of the publish calls on the admin listener.

use std::collections::BTreeMap;

use image_format::ObjectId;
use serde::{Deserialize, Serialize};

/// Most ids in one `POST /v1/objects/missing`.
pub const MISSING_MAX: usize = 10_000;

/// Largest pack stream in one `PUT /v1/objects`, in bytes.
pub const PACK_MAX: u64 = 64 << 20;

/// Largest commit body, in bytes.
pub const COMMIT_MAX: u64 = 64 << 20;

/// `POST /v1/objects/missing`: which of these does the store lack?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Missing {
    /// At most [`MISSING_MAX`].
    pub ids: Vec<ObjectId>,
}

/// The answer to [`Missing`], in the order of the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissingAnswer {
    /// Ids that the store lacks.
    pub missing: Vec<ObjectId>,
}

/// The answer to `PUT /v1/objects`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// Objects that are new, and durable.
    pub stored: u64,
    /// Objects that were there already.
    pub present: u64,
}

/// `POST /v1/commit`: signed metadata and the targets it lists; all of it takes effect, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// Metadata file name (`4.pins.json`, `timestamp.json`) → text.
    pub metadata: BTreeMap<String, String>,
    /// Target file name below `tuf/targets/` (`images/<sha256>.ha@1.json`) → text.
    pub targets: BTreeMap<String, String>,
}

/// `GET /v1/metadata`: names that are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// Metadata file names.
    pub metadata: Vec<String>,
    /// Target file names below `tuf/targets/`.
    pub targets: Vec<String>,
}

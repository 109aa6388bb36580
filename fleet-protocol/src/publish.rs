//! Bodies of the publish calls on the admin listener.

use std::collections::BTreeMap;

use image_format::{ObjectId, Sha256};
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
///
/// To a server that signs snapshot and timestamp itself they need not be sent; if they are, its own get higher versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// Metadata file name (`4.pins.json`, `timestamp.json`) → text.
    pub metadata: BTreeMap<String, String>,
    /// Target file name below `tuf/targets/` (`images/<sha256>.ha@1.json`) → text.
    pub targets: BTreeMap<String, String>,
    /// Role → SHA-256 of the file that is replaced, see [`Names::current`]. When another one is current, the whole commit is
    /// refused as a conflict (status 409). A role that is not named is not compared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub base: BTreeMap<String, Sha256>,
}

/// `GET /v1/metadata`: what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// Metadata file names, also of files that nothing refers to any more.
    pub metadata: Vec<String>,
    /// Target file names below `tuf/targets/`.
    pub targets: Vec<String>,
    /// Whether the server signs snapshot and timestamp itself.
    #[serde(default)]
    pub online: bool,
    /// Role → the file that counts now; empty when nothing is published.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub current: BTreeMap<String, RoleFile>,
}

/// One version of a role's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleFile {
    /// Its version.
    pub version: u64,
    /// SHA-256 of the file.
    pub sha256: Sha256,
}

/// What `imgserver keys new --json` and `imgserver keys show --json` print, and `imgtool init --online-keys` reads: the public halves
/// of the keys that a server signs snapshot and timestamp with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnlineKeyList {
    /// At least one of each role.
    pub keys: Vec<OnlineKey>,
}

/// One public key of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnlineKey {
    /// `snapshot` or `timestamp`.
    pub role: String,
    /// Key id, as metadata spells it.
    pub keyid: String,
    /// SubjectPublicKeyInfo PEM.
    pub public_pem: String,
}

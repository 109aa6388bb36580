//! The four roles of a TUF repository (spec 4.3 to 4.6), typed.
//!
//! Unknown fields are kept (`extra`) and are covered by the signature, because it is checked over the whole parsed value.
//! Types here are shapes: reading one says nothing about its signature. What is verified sits in a
//! [`Client`](crate::client::Client).

mod delegation;
mod envelope;
mod files;
mod root;
mod signers;
mod snapshot;
mod targets;
mod timestamp;

use std::collections::BTreeMap;

use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer, Serialize};

pub use self::delegation::{Delegation, Delegations};
pub use self::envelope::{Envelope, SignatureEntry};
pub use self::files::{Hashes, MetaFile, file_name};
pub use self::root::{Root, RootRoles};
pub use self::signers::Signers;
pub use self::snapshot::{Snapshot, SnapshotMeta};
pub use self::targets::{Target, Targets};
pub use self::timestamp::{Timestamp, TimestampMeta};
use crate::error::TrustError;
use crate::json::Value;
use crate::time::UnixTime;

/// The version of the specification that this crate writes.
pub const SPEC_VERSION: &str = "1.0.34";

/// Fields that this crate does not know, kept so that rewriting loses nothing.
pub type Extra = BTreeMap<String, Value>;

/// What all roles have in common.
pub trait RoleMetadata: Serialize + DeserializeOwned {
    /// The `_type` field.
    const TYPE: &'static str;

    /// Counts up from 1.
    fn version(&self) -> u64;

    /// The moment from which on the metadata must not be believed any more.
    fn expires(&self) -> UnixTime;

    /// Checks the rules that go beyond the shape, if there are any; `role` is for the message.
    ///
    /// # Errors
    /// The broken rule.
    fn check(&self, _role: &str) -> Result<(), TrustError> {
        Ok(())
    }
}

/// Versions and thresholds count from 1.
fn positive<'de, D, N>(deserializer: D) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: Deserialize<'de> + From<u8> + PartialEq,
{
    let number = N::deserialize(deserializer)?;
    if number == N::from(0) {
        Err(de::Error::custom("0 where a number from 1 on is needed"))
    } else {
        Ok(number)
    }
}

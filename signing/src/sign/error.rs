//! Why a repository cannot be changed or signed.

use crate::error::TrustError;
use crate::json::JsonError;
use crate::key::{KeyError, KeyId};
use crate::signer::SignerError;

/// Why an edit or a signature was refused; nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The files to go on from, or the files just signed, are not what a client would trust.
    #[error("repository does not verify")]
    Trust(#[from] TrustError),
    /// Content that canonical JSON cannot say (a number beyond 64 bits).
    #[error("cannot write {role} metadata")]
    Json {
        /// Role of the file.
        role: String,
        /// What cannot be written.
        source: JsonError,
    },
    /// Too few of the role's keys are at hand, or too few of them have signed.
    #[error("{role} needs {needed} of its keys to sign, {found} are given")]
    NotEnoughKeys {
        /// The role.
        role: String,
        /// Its threshold.
        needed: u32,
        /// How many of the given keys belong to it.
        found: u32,
    },
    /// A key that has no say in the role.
    #[error("key {keyid} may not sign {role}")]
    NotAuthorised {
        /// The role.
        role: String,
        /// The key.
        keyid: KeyId,
    },
    /// The owner of a key gave no usable signature.
    #[error("key {keyid} did not sign {role}")]
    Signer {
        /// The role.
        role: String,
        /// The key.
        keyid: KeyId,
        /// What its signer says.
        source: SignerError,
    },
    /// A key that cannot be used.
    #[error("cannot use a key for {role}")]
    Key {
        /// The role.
        role: String,
        /// What is wrong with it.
        source: KeyError,
    },
    /// The proposal was not made on what is here: somebody else's change came in between.
    #[error(
        "proposed {role} metadata has version {found}, expected {expected}: it was made on another state"
    )]
    Stale {
        /// The role.
        role: String,
        /// The present version plus one.
        expected: u64,
        /// The proposed version.
        found: u64,
    },
    /// A role that could never be signed.
    #[error("{role} cannot need {threshold} signatures of {keys} keys")]
    BadThreshold {
        /// The role.
        role: String,
        /// The wanted threshold.
        threshold: u32,
        /// Number of distinct keys.
        keys: usize,
    },
    /// The role is not allowed to name this path; clients would not find it.
    #[error("role {role} may not name target {path}")]
    PathNotCovered {
        /// The role.
        role: String,
        /// The target path.
        path: String,
    },
    /// Versions count to 2^63 - 1.
    #[error("{role} metadata has reached the last version")]
    LastVersion {
        /// The role.
        role: String,
    },
}

impl SignError {
    pub(crate) fn json(role: &str) -> impl Fn(JsonError) -> SignError {
        move |source| SignError::Json { role: role.to_owned(), source }
    }
}

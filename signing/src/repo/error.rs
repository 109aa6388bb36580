//! Why a repository cannot be changed or written.

use crate::error::TrustError;
use crate::json::JsonError;

/// Why an edit or a write was refused; the repository is as before.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// The files to load, or the files just signed, are not what a client would trust.
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
    /// Too few of the role's keys are at hand.
    #[error("{role} needs {needed} of its keys to sign, {found} are given")]
    NotEnoughKeys {
        /// The role.
        role: String,
        /// Its threshold.
        needed: u32,
        /// How many of the given keys belong to it.
        found: u32,
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

//! What a refused file is refused for.

use crate::json::JsonError;
use crate::key::{KeyError, KeyId};
use crate::time::UnixTime;

/// Why metadata was not trusted. The text names the attack that the failed check stops; the trusted state is as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The file is not acceptable JSON.
    #[error("{role} metadata cannot be read")]
    Json {
        /// Role of the file.
        role: String,
        /// What is wrong with it.
        source: JsonError,
    },
    /// Readable, but it breaks a rule of the format.
    #[error("{role} metadata is malformed: {reason}")]
    Malformed {
        /// Role of the file.
        role: String,
        /// The broken rule.
        reason: String,
    },
    /// Correct metadata of another role (a snapshot offered as a timestamp).
    #[error("{role} metadata: expected type {expected:?}, found {found:?} (role confusion)")]
    WrongType {
        /// Role that was asked for.
        role: String,
        /// `_type` it must have.
        expected: &'static str,
        /// `_type` it has.
        found: String,
    },
    /// Written for an incompatible version of the specification.
    #[error("{role} metadata has specification version {found:?}, only 1.x is understood")]
    SpecVersion {
        /// Role of the file.
        role: String,
        /// What the file says.
        found: String,
    },
    /// A listed key is unusable.
    #[error("{role} metadata lists an unusable key")]
    Key {
        /// Role whose metadata lists the key.
        role: String,
        /// What is wrong with the key.
        source: KeyError,
    },
    /// Arbitrary software attack: too few valid signatures of distinct keys.
    #[error("{role} metadata has {valid} of {needed} needed signatures (arbitrary software attack)")]
    Threshold {
        /// Role of the file.
        role: String,
        /// Signatures of distinct authorised keys that are needed.
        needed: u32,
        /// How many are valid.
        valid: u32,
    },
    /// One key id signs twice, which could be counted twice.
    #[error("{role} metadata has two signatures by key {keyid}")]
    DuplicateSignature {
        /// Role of the file.
        role: String,
        /// The repeated key id.
        keyid: String,
    },
    /// Freeze attack, or an owner who forgot to sign anew.
    #[error("{role} metadata expired {expired}, now is {now} (freeze attack)")]
    Expired {
        /// Role of the file.
        role: String,
        /// When it expired.
        expired: UnixTime,
        /// The time that the caller gave.
        now: UnixTime,
    },
    /// Rollback attack: older than what is already trusted.
    #[error("{role} metadata has version {found}, trusted is {trusted} (rollback attack)")]
    Rollback {
        /// Role whose version went down.
        role: String,
        /// Lowest acceptable version.
        trusted: u64,
        /// Offered version.
        found: u64,
    },
    /// Rollback attack: a role that the trusted snapshot lists is gone from the new one.
    #[error("snapshot no longer lists {file} (rollback attack)")]
    Dropped {
        /// The file that vanished.
        file: String,
    },
    /// Root versions must follow one another without a gap.
    #[error("root metadata has version {found}, expected {expected} (broken chain of roots)")]
    RootVersion {
        /// Trusted version plus one.
        expected: u64,
        /// Offered version.
        found: u64,
    },
    /// Mix-and-match attack: not the version that the signed list names.
    #[error("{role} metadata has version {found}, {listed_in} lists {expected} (mix-and-match attack)")]
    MixAndMatch {
        /// Role of the file.
        role: String,
        /// Role whose metadata lists it.
        listed_in: &'static str,
        /// Listed version.
        expected: u64,
        /// Offered version.
        found: u64,
    },
    /// The bytes are not the listed ones.
    #[error("{role} metadata has {algorithm} {found}, expected {expected} (mix-and-match attack)")]
    HashMismatch {
        /// Role of the file.
        role: String,
        /// Name of the hash function.
        algorithm: String,
        /// Listed hash, hex.
        expected: String,
        /// Hash of the offered bytes, hex.
        found: String,
    },
    /// None of the listed hashes is of a known kind.
    #[error("{what} has no hash of a known kind")]
    UnknownHash {
        /// What is listed.
        what: String,
    },
    /// The length is not the listed one.
    #[error("{role} metadata is {found} bytes long, expected {expected} (mix-and-match attack)")]
    LengthMismatch {
        /// Role of the file.
        role: String,
        /// Listed length in bytes.
        expected: u64,
        /// Offered length in bytes.
        found: u64,
    },
    /// Endless data attack: longer than this client accepts for any repository.
    #[error("{role} metadata of {found} bytes, at most {limit} are accepted (endless data attack)")]
    EndlessData {
        /// Role of the file.
        role: String,
        /// Limit in bytes.
        limit: u64,
        /// Offered or declared length in bytes.
        found: u64,
    },
    /// The server or the store does not have a file that must exist.
    #[error("{file} is missing")]
    Missing {
        /// Name of the file.
        file: String,
    },
    /// A delegated role that the snapshot does not know: its version cannot be checked.
    #[error("role {role} is delegated to but not listed in the snapshot (mix-and-match attack)")]
    NotInSnapshot {
        /// Name of the role.
        role: String,
    },
    /// Endless chain of roots.
    #[error("more than {limit} new root versions in one refresh (endless data attack)")]
    TooManyRotations {
        /// Most versions followed.
        limit: u32,
    },
    /// Delegations without end.
    #[error("more than {limit} delegated roles to visit (endless data attack)")]
    TooManyDelegations {
        /// Most roles visited.
        limit: usize,
    },
    /// The caller fed another file than the one asked for.
    #[error("file {found} was not asked for, expected {expected}")]
    UnexpectedFile {
        /// Name that was asked for, or `nothing`.
        expected: String,
        /// Name that was fed.
        found: String,
    },
    /// A target was looked up before the refresh was complete.
    #[error("targets cannot be looked up before the refresh is complete")]
    NotRefreshed,
}

impl TrustError {
    pub(crate) fn json(role: &str) -> impl Fn(JsonError) -> TrustError {
        move |source| TrustError::Json { role: role.to_owned(), source }
    }

    pub(crate) fn malformed(role: &str, reason: impl Into<String>) -> TrustError {
        TrustError::Malformed { role: role.to_owned(), reason: reason.into() }
    }

    /// Bad key id or key text, for messages.
    pub(crate) fn duplicate_keyid(role: &str, keyid: &KeyId) -> TrustError {
        TrustError::malformed(role, format!("key id {keyid} is listed twice for one role"))
    }
}

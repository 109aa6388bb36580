//! The keys of snapshot and timestamp.

use std::fmt;

use zeroize::Zeroizing;

use crate::key::{KeyError, PublicKey};
use crate::secret::SecretKey;

/// A role that is signed online.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OnlineRole {
    /// Versions that belong together.
    Snapshot,
    /// The current snapshot.
    Timestamp,
}

/// Secret keys that sign snapshots and timestamps, and nothing else. While keys are rotated there may be several of a role:
/// those sign that the root lists.
#[derive(Default)]
pub struct OnlineKeys {
    pub(super) snapshot: Vec<SecretKey>,
    pub(super) timestamp: Vec<SecretKey>,
}

impl OnlineRole {
    /// Both.
    pub const ALL: [OnlineRole; 2] = [OnlineRole::Snapshot, OnlineRole::Timestamp];

    /// The name in metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            OnlineRole::Snapshot => "snapshot",
            OnlineRole::Timestamp => "timestamp",
        }
    }
}

impl OnlineKeys {
    /// One new key for each role.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self { snapshot: vec![SecretKey::generate()?], timestamp: vec![SecretKey::generate()?] })
    }

    /// Adds a key of `role` from a PKCS#8 PEM that is not encrypted.
    ///
    /// # Errors
    /// [`KeyError::Encoding`]; its text holds nothing of the input.
    pub fn add_pem(&mut self, role: OnlineRole, pem: &str) -> Result<(), KeyError> {
        self.of_mut(role).push(SecretKey::from_pem(pem)?);
        Ok(())
    }

    /// Adds a key of `role`.
    #[cfg(feature = "secret-keys")]
    pub fn add(&mut self, role: OnlineRole, key: SecretKey) {
        self.of_mut(role).push(key);
    }

    /// The keys of `role` as PKCS#8 version 1 PEM, in order.
    ///
    /// # Errors
    /// [`KeyError::Encoding`], which a valid key never gives.
    pub fn to_pems(&self, role: OnlineRole) -> Result<Vec<Zeroizing<String>>, KeyError> {
        self.of(role).iter().map(SecretKey::to_pem).collect()
    }

    /// The public halves of the keys of `role`, in order.
    pub fn public(&self, role: OnlineRole) -> Vec<PublicKey> {
        self.of(role).iter().map(SecretKey::public).collect()
    }

    /// Whether neither role has a key.
    pub fn is_empty(&self) -> bool {
        self.snapshot.is_empty() && self.timestamp.is_empty()
    }

    fn of(&self, role: OnlineRole) -> &[SecretKey] {
        match role {
            OnlineRole::Snapshot => &self.snapshot,
            OnlineRole::Timestamp => &self.timestamp,
        }
    }

    fn of_mut(&mut self, role: OnlineRole) -> &mut Vec<SecretKey> {
        match role {
            OnlineRole::Snapshot => &mut self.snapshot,
            OnlineRole::Timestamp => &mut self.timestamp,
        }
    }
}

impl fmt::Debug for OnlineKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let public = |role| self.public(role);
        f.debug_struct("OnlineKeys")
            .field("snapshot", &public(OnlineRole::Snapshot))
            .field("timestamp", &public(OnlineRole::Timestamp))
            .finish()
    }
}

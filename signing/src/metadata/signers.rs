//! Who may sign for a role.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::TrustError;
use crate::key::{Key, KeyId, PublicKey};

/// The keys of a role and how many of them must sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signers {
    /// Ids of the authorised keys, each once.
    pub keyids: Vec<KeyId>,
    /// How many distinct keys must sign, from 1 on.
    #[serde(deserialize_with = "super::positive")]
    pub threshold: u32,
}

impl Signers {
    /// Any `threshold` of `keys`.
    pub fn new(keys: &[PublicKey], threshold: u32) -> Self {
        let keyids: BTreeSet<_> = keys.iter().map(PublicKey::id).collect();
        Self { keyids: keyids.into_iter().collect(), threshold }
    }

    /// Whether a key that could sign by `self` no longer can by `newer`. Keys that are only added revoke nothing.
    pub fn revoked_by(&self, newer: &Signers) -> bool {
        self.keyids.iter().any(|keyid| !newer.keyids.contains(keyid))
    }

    pub(crate) fn check(&self, role: &str) -> Result<(), TrustError> {
        let mut seen = BTreeSet::new();
        match self.keyids.iter().find(|keyid| !seen.insert(*keyid)) {
            Some(keyid) => Err(TrustError::duplicate_keyid(role, keyid)),
            None => Ok(()),
        }
    }
}

/// Every key must be usable and listed under its own id.
pub(super) fn check_keys(role: &str, keys: &BTreeMap<KeyId, Key>) -> Result<(), TrustError> {
    keys.iter()
        .try_for_each(|(keyid, key)| key.check(keyid))
        .map_err(|source| TrustError::Key { role: role.to_owned(), source })
}

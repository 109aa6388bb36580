//! Keys that never count again, under whatever node they appear: `revoked/KEY` in the database, all of them in memory.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use fleet_protocol::identity::NodePublicKey;
use image_format::NodeId;
use serde::{Deserialize, Serialize};
use signing::UnixTime;

use super::kv::{Change, Kv, KvError};

const PREFIX: &str = "revoked/";

/// When a key was revoked, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Whose it was.
    pub node: NodeId,
    /// When.
    pub time: UnixTime,
    /// Why, in the admin's words.
    pub reason: String,
}

/// All revoked keys.
#[derive(Debug, Default)]
pub struct Revoked(RwLock<HashMap<NodePublicKey, Revocation>>);

impl Revoked {
    /// Loads them. Blocks.
    ///
    /// # Errors
    /// [`KvError`], also for an entry that cannot be read: a revocation must not get lost.
    pub fn open(kv: &dyn Kv) -> Result<Self, KvError> {
        let mut all = HashMap::new();
        let mut bad = None;
        kv.scan(PREFIX, &mut |key, found| {
            let node_key = key[PREFIX.len()..].parse::<NodePublicKey>().map_err(|error| error.to_string());
            let entry = serde_json::from_slice::<Revocation>(&found.value).map_err(|error| error.to_string());
            match node_key.and_then(|node_key| Ok((node_key, entry?))) {
                Ok((node_key, entry)) => drop(all.insert(node_key, entry)),
                Err(error) => bad = Some((key.to_owned(), error)),
            }
        })?;
        match bad {
            None => Ok(Self(RwLock::new(all))),
            Some((key, error)) => Err(KvError { operation: "read", key, source: error.into() }),
        }
    }

    /// Whether `key` is revoked: when and why.
    pub fn get(&self, key: &NodePublicKey) -> Option<Revocation> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Whether `key` is revoked.
    pub fn contains(&self, key: &NodePublicKey) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    /// Revokes `key` for ever; durable when it returns. The first reason stays. Blocks.
    ///
    /// # Errors
    /// [`KvError`].
    pub fn add(&self, kv: &dyn Kv, key: NodePublicKey, entry: Revocation) -> Result<(), KvError> {
        let value = serde_json::to_vec(&entry).expect("a revocation is three texts");
        kv.put(&[Change { key: format!("{PREFIX}{key}"), value, expected: 0 }])?;
        self.0.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(entry);
        Ok(())
    }
}

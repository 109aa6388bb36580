//! The contract with the inventory's database: a key-value map with compare-and-swap and prefix scan.
//!
//! Calls block; the server makes them on blocking threads. A distributed engine can stand behind the same four methods.

use std::error::Error as StdError;

/// A value and the revision it has; every change of a key gives it a higher revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The value.
    pub value: Vec<u8>,
    /// Its revision, at least 1.
    pub revision: u64,
}

/// The database does not work.
#[derive(Debug, thiserror::Error)]
#[error("inventory: {operation} of {key:?} failed")]
pub struct KvError {
    /// What was tried.
    pub operation: &'static str,
    /// On which key or prefix.
    pub key: String,
    /// Why it failed.
    pub source: Box<dyn StdError + Send + Sync>,
}

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: String,
    /// The new value.
    pub value: Vec<u8>,
    /// The revision that it must have now; 0: the key must be absent.
    pub expected: u64,
}

/// A key-value map.
pub trait Kv: Send + Sync + std::fmt::Debug {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`KvError`] when the database does not work.
    fn get(&self, key: &str) -> Result<Option<Versioned>, KvError>;

    /// Makes all changes durable in one step, except those whose key has another revision than expected; returns these keys.
    ///
    /// # Errors
    /// [`KvError`] when the database does not work; then no change was made.
    fn put(&self, changes: &[Change]) -> Result<Vec<String>, KvError>;

    /// Removes a key that has the revision `expected`; false when it has another one or is absent.
    ///
    /// # Errors
    /// [`KvError`] when the database does not work; then nothing was removed.
    fn delete(&self, key: &str, expected: u64) -> Result<bool, KvError>;

    /// Calls `each` for every key that begins with `prefix`, in the order of keys.
    ///
    /// # Errors
    /// [`KvError`] when the database does not work.
    fn scan(&self, prefix: &str, each: &mut dyn FnMut(&str, Versioned)) -> Result<(), KvError>;
}

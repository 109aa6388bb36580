//! A node's public key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use signing::{KeyError, PublicKey};

use signing::hex;

/// Digits of [`NodePublicKey::short`]: 64 bits, too many to search for a second key with the same ones.
const SHORT: usize = 16;

/// A node's Ed25519 public key: a canonical point of large order. Text form: exactly 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodePublicKey([u8; 32]);

/// A text that is no node key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeKeyError {
    /// Not 64 lower-case digits.
    #[error("node key: expected 64 lower-case hexadecimal digits, found {found:?}")]
    Text {
        /// What was found, cut to 80 characters.
        found: String,
    },
    /// No point, or a weak one.
    #[error("node key")]
    Point(#[source] KeyError),
}

impl NodePublicKey {
    /// Reads the 32 bytes of a compressed point.
    ///
    /// # Errors
    /// [`NodeKeyError::Point`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, NodeKeyError> {
        PublicKey::from_bytes(bytes).map(|_| Self(*bytes)).map_err(NodeKeyError::Point)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 16 digits, for tables and for comparing by eye.
    pub fn short(&self) -> String {
        self.to_string().chars().take(SHORT).collect()
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        PublicKey::from_bytes(&self.0).is_ok_and(|key| key.verifies(message, signature))
    }
}

impl fmt::Display for NodePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(&self.0))
    }
}

impl fmt::Debug for NodePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodePublicKey({})", self.short())
    }
}

impl FromStr for NodePublicKey {
    type Err = NodeKeyError;

    fn from_str(text: &str) -> Result<Self, NodeKeyError> {
        let bytes = hex::decode(text);
        Self::from_bytes(&bytes.ok_or_else(|| NodeKeyError::Text { found: text.chars().take(80).collect() })?)
    }
}

impl TryFrom<String> for NodePublicKey {
    type Error = NodeKeyError;

    fn try_from(text: String) -> Result<Self, NodeKeyError> {
        text.parse()
    }
}

impl From<NodePublicKey> for String {
    fn from(key: NodePublicKey) -> Self {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_and_malformed_keys_are_refused() {
        let weak = format!("01{}", "0".repeat(62));
        assert!(matches!(weak.parse::<NodePublicKey>(), Err(NodeKeyError::Point(KeyError::Weak(_)))));
        let good = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        let key: NodePublicKey = good.parse().unwrap();
        assert_eq!((key.to_string(), key.short()), (good.to_owned(), good[..16].to_owned()));
        for bad in ["", &good[..62], &good.to_uppercase(), &format!("{good}00"), &format!(" {}", &good[1..])]
        {
            assert_eq!(bad.parse::<NodePublicKey>(), Err(NodeKeyError::Text { found: bad.to_owned() }));
        }
    }
}

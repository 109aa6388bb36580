//! What checks a signature: a key object that was understood.

#[cfg(feature = "conformance")]
use super::foreign::ForeignKey;
use super::{Key, KeyError, PublicKey};
use crate::hex;

/// A key whose signatures can count.
#[derive(Debug, Clone)]
pub enum Verifier {
    /// The only kind in production.
    Ed25519(PublicKey),
    /// ECDSA or RSA, for the public conformance suite.
    #[cfg(feature = "conformance")]
    Foreign(ForeignKey),
}

impl Verifier {
    /// Reads a key object. `None` for a type, scheme or encoding that is not understood: its signatures never count.
    ///
    /// # Errors
    /// A key that says it is Ed25519 but is not a usable one.
    pub fn of(key: &Key) -> Result<Option<Self>, KeyError> {
        if let Some(public) = key.public()? {
            return Ok(Some(Self::Ed25519(public)));
        }
        #[cfg(feature = "conformance")]
        return Ok(ForeignKey::read(key).map(Self::Foreign));
        #[cfg(not(feature = "conformance"))]
        Ok(None)
    }

    /// Whether `signature`, the text that stands in metadata, is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        match self {
            Self::Ed25519(key) => {
                hex::decode(signature).is_some_and(|signature| key.verifies(message, &signature))
            }
            #[cfg(feature = "conformance")]
            Self::Foreign(key) => key.verifies(message, signature),
        }
    }

    /// What makes two key objects the same key, whatever fields stand beside: the public key's bytes.
    pub fn identity(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.as_bytes().to_vec(),
            #[cfg(feature = "conformance")]
            Self::Foreign(key) => key.identity().to_vec(),
        }
    }
}

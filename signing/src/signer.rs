//! Whatever can sign with one Ed25519 key: a key in memory, an agent, a token behind a command.

use crate::key::PublicKey;

/// Signs with one key. What it returns is verified before it is used, so a signer that lies harms nobody.
pub trait Signer: Send + Sync {
    /// The public half of the key.
    fn public(&self) -> PublicKey;

    /// The Ed25519 signature (RFC 8032, pure) over `message`.
    ///
    /// # Errors
    /// Why there is none: refused by its owner, not plugged in, out of time.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError>;
}

/// Why a signer gave no usable signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SignerError(pub String);

//! A node's secret key (feature `node-key`).
//!
//! Text form, as it lies on the state partition:
//!
//! ```text
//! bascule-node-key-1 LF seed (64 hex) LF public key (64 hex) LF
//! ```
//! The public key makes damage visible; it is computed again and must be the same.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use super::key::{NodeKeyError, NodePublicKey};
use super::seal::Kind;
use signing::hex;

/// First line of the text form.
const FORMAT: &str = "bascule-node-key-1";

/// A node's secret key. Its memory is wiped when it goes; nothing prints it.
pub struct NodeKey {
    secret: SigningKey,
    public: NodePublicKey,
}

impl NodeKey {
    /// The key of 32 random bytes.
    ///
    /// # Errors
    /// [`NodeKeyError::Point`], which no random seed gives.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, NodeKeyError> {
        let secret = SigningKey::from_bytes(seed);
        let public = NodePublicKey::from_bytes(secret.verifying_key().as_bytes())?;
        Ok(Self { secret, public })
    }

    /// Reads the text form; `None` for anything else, so that no part of it can come into a message.
    pub fn from_text(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(FORMAT)?.strip_prefix('\n')?.strip_suffix('\n')?;
        let (seed, public) = rest.split_once('\n')?;
        let seed = Zeroizing::new(hex::decode::<32>(seed)?);
        let key = Self::from_seed(&seed).ok()?;
        (public == key.public.to_string()).then_some(key)
    }

    /// The text form.
    pub fn to_text(&self) -> Zeroizing<String> {
        let seed = Zeroizing::new(hex::encode(self.secret.as_bytes()));
        Zeroizing::new(format!("{FORMAT}\n{}\n{}\n", *seed, self.public))
    }

    /// The public half.
    pub fn public(&self) -> NodePublicKey {
        self.public
    }

    /// A signed message of `kind`, as it is sent.
    pub fn seal(&self, kind: Kind, payload: &[u8]) -> Vec<u8> {
        let signature = self.secret.sign(&kind.message(payload)).to_bytes();
        let head = format!("{} {} {}\n", kind.word(), self.public, hex::encode(&signature));
        [head.as_bytes(), payload].concat()
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey(of {:?})", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_strict_and_shows_damage() {
        let key = NodeKey::from_seed(&[9; 32]).unwrap();
        let text = key.to_text();
        assert_eq!(NodeKey::from_text(&text).unwrap().public(), key.public());
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1;
            let damaged = String::from_utf8(bytes).unwrap();
            assert!(NodeKey::from_text(&damaged).is_none(), "byte {at}");
            assert!(NodeKey::from_text(&text[..at]).is_none(), "cut at {at}");
        }
        assert!(NodeKey::from_text(&format!("{}\n", *text)).is_none());
    }

    #[test]
    fn nothing_prints_the_secret() {
        let key = NodeKey::from_seed(&[7; 32]).unwrap();
        let shown = format!("{key:?} {key:#?}");
        assert!(!shown.contains("0707") && shown.starts_with("NodeKey(of NodePublicKey("), "{shown}");
    }
}

//! Ed25519 public keys, as TUF writes them.
//!
//! A key object is `{"keytype":"ed25519","scheme":"ed25519","keyval":{"public":"<64 hex>"}}`; its id is the SHA-256 of the
//! object's canonical form and is recomputed, never believed (spec 4.2).

use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest, Sha256};

use crate::hex;
use crate::json::Value;

const ED25519: &str = "ed25519";

/// An Ed25519 public key that is a canonical point of large order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// SHA-256 of a key object's canonical form, as 64 lower-case hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct KeyId(String);

/// A key object as it stands in metadata, with every field it had: the id covers them all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(Value);

/// Why a key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 32 bytes in lower-case hex, or not a point of the curve.
    #[error("not an Ed25519 public key: {0}")]
    Malformed(String),
    /// A point of small order: signatures under it can hold for any message.
    #[error("weak Ed25519 public key {0}")]
    Weak(String),
    /// The id under which the key is listed is not the hash of the key object.
    #[error("key id {listed} does not belong to its key, whose id is {computed}")]
    WrongId {
        /// Id in the metadata.
        listed: KeyId,
        /// Id of the key object.
        computed: KeyId,
    },
    /// PEM or DER that cannot be read.
    #[error("cannot read key: {0}")]
    Encoding(String),
    /// The operating system gave no random numbers.
    #[error("no random numbers: {0}")]
    Random(String),
}

impl PublicKey {
    /// Reads the 32 bytes of a compressed point.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] for no point, [`KeyError::Weak`] for one of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes);
        Self::checked(key.map_err(|_| KeyError::Malformed(hex::encode(bytes)))?)
    }

    pub(crate) fn checked(key: VerifyingKey) -> Result<Self, KeyError> {
        if key.is_weak() { Err(KeyError::Weak(hex::encode(key.as_bytes()))) } else { Ok(Self(key)) }
    }

    /// The 32 bytes of the compressed point.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Whether `signature` is this key's over `message`, by the strict rules (no small-order points, no malleated scalars).
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    /// The key object that stands for this key in metadata.
    pub fn to_key(&self) -> Key {
        Key(Value::from([
            ("keytype", ED25519.into()),
            ("scheme", ED25519.into()),
            ("keyval", Value::from([("public", Value::String(hex::encode(self.as_bytes())))])),
        ]))
    }

    /// The id of this key's object.
    pub fn id(&self) -> KeyId {
        self.to_key().id()
    }
}

impl Key {
    /// SHA-256 of the canonical form.
    pub fn id(&self) -> KeyId {
        KeyId(hex::encode(&Sha256::digest(self.0.canonical())))
    }

    /// The public key, or `None` for a type or scheme other than Ed25519 (whose signatures never count).
    ///
    /// # Errors
    /// A key that says it is Ed25519 but is not a usable one.
    pub fn public(&self) -> Result<Option<PublicKey>, KeyError> {
        let field = |name| self.0.get(name).and_then(Value::as_str);
        if field("keytype") != Some(ED25519) || field("scheme") != Some(ED25519) {
            return Ok(None);
        }
        let public = self.0.get("keyval").and_then(|value| value.get("public")).and_then(Value::as_str);
        let public = public.ok_or_else(|| KeyError::Malformed("no keyval.public".to_owned()))?;
        let bytes =
            hex::decode(public).ok_or_else(|| KeyError::Malformed(public.chars().take(80).collect()))?;
        PublicKey::from_bytes(&bytes).map(Some)
    }

    /// Checks that the key is usable and is listed under its own id.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn check(&self, listed: &KeyId) -> Result<(), KeyError> {
        let computed = self.id();
        if computed != *listed {
            return Err(KeyError::WrongId { listed: listed.clone(), computed });
        }
        self.public().map(drop)
    }
}

impl KeyId {
    /// Reads 64 lower-case hex digits; `None` for every other text.
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode::<32>(text).map(|_| Self(text.to_owned()))
    }

    /// The 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let short: String = text.chars().take(80).collect();
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom(format!("key id {short:?} is not 64 lower-case hex digits")))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", hex::encode(self.as_bytes()))
    }
}

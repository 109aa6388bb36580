//! Public keys, as TUF writes them: Ed25519, and nothing else in production.
//!
//! A key object is `{"keytype":"ed25519","scheme":"ed25519","keyval":{"public":"<64 hex>"}}`; its id is the SHA-256 of the
//! object's canonical form and is recomputed, never believed (spec 4.2).

#[cfg(feature = "conformance")]
mod foreign;
mod verifier;

use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest, Sha256};

pub use self::verifier::Verifier;
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
        let field = |name| self.field(name).and_then(Value::as_str);
        if field("keytype") != Some(ED25519) || field("scheme") != Some(ED25519) {
            return Ok(None);
        }
        let public = self.field("keyval").and_then(|value| value.get("public")).and_then(Value::as_str);
        let public = public.ok_or_else(|| KeyError::Malformed("no keyval.public".to_owned()))?;
        let bytes =
            hex::decode(public).ok_or_else(|| KeyError::Malformed(public.chars().take(80).collect()))?;
        PublicKey::from_bytes(&bytes).map(Some)
    }

    fn field(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
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

#[cfg(test)]
mod tests {
    use super::{Key, KeyError, KeyId, PublicKey};
    use crate::hex;
    use crate::json::{Value, from_value, parse};

    /// RFC 8032, 7.1, test 2: public key, message, signature.
    const PUBLIC: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const MESSAGE: &[u8] = &[0x72];
    const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    fn public() -> PublicKey {
        PublicKey::from_bytes(&hex::decode(PUBLIC).unwrap()).unwrap()
    }

    #[test]
    fn known_signature_verifies_and_any_flipped_bit_does_not() {
        let signature: [u8; 64] = hex::decode(SIGNATURE).unwrap();
        assert!(public().verifies(MESSAGE, &signature));
        assert!(!public().verifies(&[0x73], &signature));
        for bit in 0..512 {
            let mut flipped = signature;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!public().verifies(MESSAGE, &flipped), "bit {bit}");
        }
    }

    /// s + L is the same number modulo the group order: a second signature for the same message, if it were accepted.
    #[test]
    fn malleated_signature_is_refused() {
        let order: [u8; 32] =
            hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
        let mut signature: [u8; 64] = hex::decode(SIGNATURE).unwrap();
        let mut carry = 0;
        for (digit, addend) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*digit) + u16::from(addend) + carry;
            *digit = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert_eq!(carry, 0);
        assert!(!public().verifies(MESSAGE, &signature));
    }

    /// The eight points of small order, and two encodings of them that are not canonical.
    #[test]
    fn weak_keys_are_refused() {
        for weak in [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ] {
            let refused = PublicKey::from_bytes(&hex::decode(weak).unwrap());
            assert_eq!(refused, Err(KeyError::Weak(weak.to_owned())), "{weak}");
        }
        let no_point = "0200000000000000000000000000000000000000000000000000000000000000";
        let refused = PublicKey::from_bytes(&hex::decode(no_point).unwrap());
        assert_eq!(refused, Err(KeyError::Malformed(no_point.to_owned())));
    }

    /// The id was computed with securesystemslib's rule: SHA-256 of the canonical key object.
    #[test]
    fn id_is_the_hash_of_the_canonical_object() {
        let text = format!(
            "{{\"scheme\": \"ed25519\", \"keyval\": {{\"public\": \"{PUBLIC}\"}}, \"keytype\": \"ed25519\"}}"
        );
        let key: Key = from_value(&parse(text.as_bytes(), 1024).unwrap()).unwrap();
        assert_eq!(key, public().to_key());
        let canonical = format!(
            "{{\"keytype\":\"ed25519\",\"keyval\":{{\"public\":\"{PUBLIC}\"}},\"scheme\":\"ed25519\"}}"
        );
        assert_eq!(key.0.canonical(), canonical.as_bytes());
        assert_eq!(key.public(), Ok(Some(public())));
        assert_eq!(key.check(&public().id()), Ok(()));
        let other = KeyId::parse(&"0".repeat(64)).unwrap();
        let computed = public().id();
        assert_eq!(key.check(&other), Err(KeyError::WrongId { listed: other, computed }));
    }

    #[test]
    fn every_field_of_a_key_counts_for_its_id() {
        let Key(Value::Object(mut members)) = public().to_key() else { panic!() };
        members.insert("x".into(), Value::Null);
        assert_ne!(Key(Value::Object(members)).id(), public().id());
    }

    #[test]
    fn key_ids_have_one_spelling() {
        for wrong in ["", "ab", &"A".repeat(64), &"0".repeat(63), &"0".repeat(66), &"g".repeat(64)] {
            assert_eq!(KeyId::parse(wrong), None, "{wrong}");
            assert!(serde_json::from_value::<KeyId>(wrong.to_owned().into()).is_err());
        }
    }

    #[test]
    fn text_for_people_names_the_key() {
        assert_eq!(format!("{:?}", public()), format!("PublicKey({PUBLIC})"));
        let id = public().id();
        assert_eq!((id.to_string().as_str(), id.as_str().len()), (id.as_str(), 64));
        assert_eq!(format!("{id:?}"), format!("KeyId({id})"));
    }

    #[test]
    fn only_ed25519_can_count() {
        let with = |keytype: &str, scheme: &str| -> Key {
            let public = Value::from([("public", PUBLIC.into())]);
            let fields = [("keytype", keytype.into()), ("scheme", scheme.into()), ("keyval", public)];
            from_value(&Value::from(fields)).unwrap()
        };
        assert_eq!(with("ed25519", "ed25519").public(), Ok(Some(public())));
        for (keytype, scheme) in [("ed25519", "x"), ("x", "ed25519"), ("rsa", "rsassa-pss-sha256"), ("", "")]
        {
            assert_eq!(with(keytype, scheme).public(), Ok(None), "{keytype} {scheme}");
            let verifier = super::Verifier::of(&with(keytype, scheme));
            assert!(matches!(verifier, Ok(None)), "{keytype} {scheme}");
        }
        let without =
            from_value::<Key>(&Value::from([("keytype", "ed25519".into()), ("scheme", "ed25519".into())]));
        assert_eq!(without.unwrap().public(), Err(KeyError::Malformed("no keyval.public".to_owned())));
    }

    #[test]
    fn a_verifier_takes_the_text_of_a_signature() {
        let Ok(Some(verifier)) = super::Verifier::of(&public().to_key()) else { panic!() };
        assert!(verifier.verifies(MESSAGE, &SIGNATURE.replace(' ', "")));
        assert!(!verifier.verifies(b"other", SIGNATURE));
        assert!(!verifier.verifies(MESSAGE, &SIGNATURE.to_uppercase()));
        assert_eq!(verifier.identity(), public().as_bytes());
    }
}

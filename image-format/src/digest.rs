//! 32-byte digests as distinct types, so that a chunk's plain digest can never stand where a stored object's is expected.
//!
//! Text form: exactly 64 lower-case hexadecimal digits; the same parser serves `FromStr` and serde.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;
use signing::hex;

use crate::by_text::serde_by_text;

/// A text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("digest: expected 64 lower-case hexadecimal digits, found {found:?}")]
pub struct ParseDigestError {
    /// What was found, cut to 80 characters.
    pub found: String,
}

fn parse_hex(text: &str) -> Result<[u8; 32], ParseDigestError> {
    hex::decode(text).ok_or_else(|| ParseDigestError { found: text.chars().take(80).collect() })
}

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps raw bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first 12 hexadecimal digits, for logs and tables.
            pub fn short(&self) -> String {
                self.to_string().chars().take(12).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseDigestError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_hex(text).map(Self)
            }
        }

        serde_by_text!($name);
    };
}

digest! {
    /// BLAKE3-256 of a chunk's plain bytes: what two images are compared by.
    ChunkId
}
digest! {
    /// BLAKE3-256 of the bytes of a stored object, as stored: what the store and every URL use.
    ObjectId
}
digest! {
    /// SHA-256, where a foreign format asks for it: TUF targets, dm-verity.
    Sha256
}

impl ChunkId {
    /// Digest of plain bytes.
    pub fn of(plain: &[u8]) -> Self {
        Self(*blake3::hash(plain).as_bytes())
    }
}

impl ObjectId {
    /// Digest of stored bytes.
    pub fn of(stored: &[u8]) -> Self {
        Self(*blake3::hash(stored).as_bytes())
    }

    /// Path of the object below a store's root, `objects/ab/abcd…`: the one place where this is decided.
    pub fn object_path(&self) -> String {
        let hex = self.to_string();
        format!("objects/{}/{hex}", &hex[..2])
    }
}

impl Sha256 {
    /// Digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let id = ObjectId::of(b"bascule");
        assert_eq!(id.to_string().parse::<ObjectId>().unwrap(), id);
        assert_eq!(serde_json::from_str::<ObjectId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        assert_eq!(id.object_path(), format!("objects/{}/{id}", &id.to_string()[..2]));
    }

    #[test]
    fn anything_but_64_lower_case_digits_is_refused() {
        let good = "a".repeat(64);
        for bad in
            [String::new(), "a".repeat(63), "a".repeat(65), "A".repeat(64), "g".repeat(64), "é".repeat(32)]
        {
            assert!(bad.parse::<Sha256>().is_err(), "{bad}");
        }
        assert!(good.parse::<Sha256>().is_ok());
    }
}

//! The names of chunks.

use std::fmt;

use sha2::Digest as _;

/// How an index names its chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    /// SHA-512/256 (FIPS 180-4), the default.
    Sha512_256,
    /// SHA-256.
    Sha256,
}

impl Hash {
    /// The name of a chunk with these plain bytes.
    pub(crate) fn id(self, plain: &[u8]) -> CasyncId {
        CasyncId(match self {
            Self::Sha512_256 => sha2::Sha512_256::digest(plain).into(),
            Self::Sha256 => sha2::Sha256::digest(plain).into(),
        })
    }
}

/// The name of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CasyncId(pub(crate) [u8; 32]);

impl CasyncId {
    /// Directory in the store: the first four hexadecimal digits.
    pub(crate) fn dir(&self) -> String {
        self.to_string()[..4].to_owned()
    }

    /// File name of the compressed chunk.
    pub(crate) fn file(&self) -> String {
        format!("{self}.cacnk")
    }
}

impl fmt::Display for CasyncId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of FIPS 180-4 (NIST's "SHA512_256.pdf" and "SHA256.pdf").
    #[test]
    fn names_are_those_of_the_standard() {
        let id = Hash::Sha512_256.id(b"abc");
        assert_eq!(id.to_string(), "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23");
        assert_eq!(id.dir(), "5304");
        assert_eq!(id.file(), format!("{id}.cacnk"));
        let id = Hash::Sha256.id(b"abc");
        assert_eq!(id.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}

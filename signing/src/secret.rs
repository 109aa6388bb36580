//! Ed25519 secret keys (feature `secret-keys`): PKCS#8 version 1 PEM, which OpenSSL also reads and writes.

use std::fmt;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes,
};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::key::{KeyError, PublicKey};
use crate::signer::{Signer, SignerError};

/// A secret key. Its memory is wiped when it goes; nothing prints it.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A new key from the operating system's random numbers.
    ///
    /// # Errors
    /// [`KeyError::Random`] if there are none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|error| KeyError::Random(error.to_string()))?;
        Self::from_seed(&seed)
    }

    /// The key of a 32-byte seed (RFC 8032).
    ///
    /// # Errors
    /// [`KeyError::Weak`], which no known seed gives.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::from_bytes(seed);
        PublicKey::checked(key.verifying_key())?;
        Ok(Self(key))
    }

    /// Reads a PKCS#8 PEM. Version 2 carries the public key, which must then be the right one.
    ///
    /// # Errors
    /// [`KeyError::Encoding`]; its text holds nothing of the input.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key = SigningKey::from_pkcs8_pem(pem).map_err(|error| KeyError::Encoding(error.to_string()))?;
        PublicKey::checked(key.verifying_key())?;
        Ok(Self(key))
    }

    /// PKCS#8 version 1 PEM, without the public key: OpenSSL 3.0 cannot read version 2 of an Ed25519 key.
    ///
    /// # Errors
    /// [`KeyError::Encoding`], which a valid key never gives.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let pair = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        pair.to_pkcs8_pem(LineEnding::LF).map_err(|error| KeyError::Encoding(error.to_string()))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey::checked(self.0.verifying_key()).expect("every way to make a SecretKey checks this")
    }

    /// The signature over `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl Signer for SecretKey {
    fn public(&self) -> PublicKey {
        SecretKey::public(self)
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        Ok(SecretKey::sign(self, message))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {:?})", self.public())
    }
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo PEM.
    ///
    /// # Errors
    /// [`KeyError::Encoding`] or [`KeyError::Weak`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key =
            VerifyingKey::from_public_key_pem(pem).map_err(|error| KeyError::Encoding(error.to_string()))?;
        Self::checked(key)
    }

    /// SubjectPublicKeyInfo PEM.
    ///
    /// # Errors
    /// [`KeyError::Encoding`], which a valid key never gives.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let key = VerifyingKey::from_bytes(self.as_bytes())
            .map_err(|error| KeyError::Encoding(error.to_string()))?;
        key.to_public_key_pem(LineEnding::LF).map_err(|error| KeyError::Encoding(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::SecretKey;
    use crate::key::{KeyError, PublicKey};

    /// RFC 8410, 10.3: the same key as version 1, as version 2 with its public key, and that public key.
    const VERSION_1: &str = "-----BEGIN PRIVATE KEY-----\n\
                             MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                             -----END PRIVATE KEY-----\n";
    const VERSION_2: &str = "-----BEGIN PRIVATE KEY-----\n\
                             MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                             oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\n\
                             Z9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                             -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
                          MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                          -----END PUBLIC KEY-----\n";

    #[test]
    fn both_versions_are_read_and_version_1_is_written() {
        for pem in [VERSION_1, VERSION_2] {
            let key = SecretKey::from_pem(pem).unwrap();
            assert_eq!(*key.to_pem().unwrap(), VERSION_1);
            assert_eq!(key.public().to_pem().unwrap(), PUBLIC);
            assert_eq!(PublicKey::from_pem(PUBLIC), Ok(key.public()));
            assert!(key.public().verifies(b"text", &key.sign(b"text")));
        }
    }

    /// A flipped bit of the public key in version 2, and nothing of the input in the message.
    #[test]
    fn mismatched_and_malformed_keys_are_refused() {
        let mismatched = VERSION_2.replace("Z9w7lshQ", "Z9w7lshR");
        for pem in [&mismatched, PUBLIC, "", "MC4C", &VERSION_1.replace("K06", "K0")] {
            let error = SecretKey::from_pem(pem).unwrap_err();
            assert!(matches!(error, KeyError::Encoding(_)), "{error:?}");
            assert!(!error.to_string().contains("MC4C"), "{error}");
        }
        assert!(matches!(PublicKey::from_pem(VERSION_1), Err(KeyError::Encoding(_))));
        let weak =
            PUBLIC.replace("Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=", &format!("AQ{}=", "A".repeat(41)));
        assert!(matches!(PublicKey::from_pem(&weak), Err(KeyError::Weak(_))), "{weak}");
    }

    #[test]
    fn nothing_prints_the_secret() {
        let key = SecretKey::from_seed(&[7; 32]).unwrap();
        let shown = format!("{key:?} {key:#?}");
        assert!(!shown.contains("0707") && !shown.contains("7, 7"), "{shown}");
        assert!(shown.starts_with("SecretKey(of PublicKey("), "{shown}");
    }

    #[test]
    fn generated_keys_differ() {
        let (one, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        assert_ne!(one.public(), other.public());
    }
}

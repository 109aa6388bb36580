//! ECDSA P-256 and RSA-PSS (feature `conformance`): what the public TUF conformance suite signs with besides Ed25519.
//!
//! For the development of this crate only. The agent, the server and imgtool never enable the feature.

use p256::ecdsa::signature::Verifier as _;
use p256::pkcs8::DecodePublicKey as _;
use rsa::pkcs8::spki::der::pem;
use sha2::Sha256;

use super::Key;

/// An RSA signature of the longest key that is read, 4096 bits.
const SIGNATURE_MAX: usize = 512;

/// A public key that is not Ed25519.
#[derive(Debug, Clone)]
pub struct ForeignKey {
    scheme: Scheme,
    /// SubjectPublicKeyInfo, DER.
    identity: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Scheme {
    Ecdsa(Box<p256::ecdsa::VerifyingKey>),
    RsaPss(Box<rsa::pss::VerifyingKey<Sha256>>),
}

impl ForeignKey {
    /// Reads a key object of the types `ecdsa` (and its old name) and `rsa`; `None` for anything else.
    pub fn read(key: &Key) -> Option<Self> {
        let public = key.field("keyval")?.get("public")?.as_str()?;
        let scheme = match (key.field("keytype")?.as_str()?, key.field("scheme")?.as_str()?) {
            ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => {
                Scheme::Ecdsa(Box::new(p256::ecdsa::VerifyingKey::from_public_key_pem(public).ok()?))
            }
            ("rsa", "rsassa-pss-sha256") => {
                let key = rsa::RsaPublicKey::from_public_key_pem(public).ok()?;
                Scheme::RsaPss(Box::new(rsa::pss::VerifyingKey::new(key)))
            }
            _ => return None,
        };
        let (_, identity) = pem::decode_vec(public.as_bytes()).ok()?;
        Some(Self { scheme, identity })
    }

    /// Whether `signature` (hex; DER inside for ECDSA) is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Some(bytes) = decode_hex(signature) else { return false };
        match &self.scheme {
            Scheme::Ecdsa(key) => p256::ecdsa::DerSignature::from_bytes(&bytes)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Scheme::RsaPss(key) => rsa::pss::Signature::try_from(bytes.as_slice())
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }

    /// The bytes that tell this key from every other.
    pub fn identity(&self) -> &[u8] {
        &self.identity
    }
}

/// Lower-case hex of any length up to the longest signature.
fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > SIGNATURE_MAX {
        return None;
    }
    pairs.iter().map(|pair| crate::hex::decode::<1>(str::from_utf8(pair).ok()?).map(|[byte]| byte)).collect()
}

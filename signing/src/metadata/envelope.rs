//! `{"signed": …, "signatures": […]}`: parsed once, verified and read from the same value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{RoleMetadata, Signers};
use crate::error::TrustError;
use crate::json::{Value, from_value, parse};
use crate::key::{Key, KeyId};
use crate::verify::verify_threshold;

/// One entry of `signatures`, as received: it may be garbage, which then does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureEntry {
    /// Id of the key that is said to have signed.
    pub keyid: String,
    /// 128 lower-case hex digits if it is a signature.
    pub sig: String,
}

/// A parsed file of which nothing is verified yet.
#[derive(Debug, Clone)]
pub struct Envelope {
    role: String,
    signed: Value,
    signatures: Vec<SignatureEntry>,
}

impl Envelope {
    /// Parses the file of `role` (a name for messages), at most `limit` bytes.
    ///
    /// # Errors
    /// [`TrustError::EndlessData`], [`TrustError::Json`] or [`TrustError::Malformed`].
    pub fn parse(role: &str, bytes: &[u8], limit: u64) -> Result<Self, TrustError> {
        let found = bytes.len() as u64;
        if found > limit {
            return Err(TrustError::EndlessData { role: role.to_owned(), limit, found });
        }
        let value = parse(bytes, bytes.len()).map_err(TrustError::json(role))?;
        let Value::Object(mut members) = value else {
            return Err(TrustError::malformed(role, "not an object"));
        };
        let signed = members.remove("signed").filter(|signed| signed.as_object().is_some());
        let signed = signed.ok_or_else(|| TrustError::malformed(role, "no object `signed`"))?;
        let signatures = members.remove("signatures");
        let signatures = signatures.ok_or_else(|| TrustError::malformed(role, "no list `signatures`"))?;
        let signatures = from_value(&signatures).map_err(TrustError::json(role))?;
        Ok(Self { role: role.to_owned(), signed, signatures })
    }

    /// Content that nobody has signed yet.
    #[cfg(feature = "secret-keys")]
    pub(crate) fn unsigned(role: &str, signed: Value) -> Self {
        Self { role: role.to_owned(), signed, signatures: Vec::new() }
    }

    /// What was signed, and the signatures.
    #[cfg(feature = "secret-keys")]
    pub(crate) fn into_parts(self) -> (Value, Vec<SignatureEntry>) {
        (self.signed, self.signatures)
    }

    /// Checks that a threshold of `signers` signed exactly this content.
    ///
    /// # Errors
    /// See [`verify_threshold`].
    pub fn verify(&self, keys: &BTreeMap<KeyId, Key>, signers: &Signers) -> Result<(), TrustError> {
        verify_threshold(&self.role, &self.signed.canonical(), &self.signatures, keys, signers)
    }

    /// Reads the typed content; it is as trustworthy as the signatures that were checked.
    ///
    /// # Errors
    /// [`TrustError::WrongType`], [`TrustError::SpecVersion`] or a broken rule of the format.
    pub fn read<T: RoleMetadata>(&self) -> Result<T, TrustError> {
        let text = |field| self.signed.get(field).and_then(Value::as_str).unwrap_or_default();
        let (kind, spec) = (text("_type"), text("spec_version"));
        if kind != T::TYPE {
            let (role, found) = (self.role.clone(), kind.chars().take(40).collect());
            return Err(TrustError::WrongType { role, expected: T::TYPE, found });
        }
        if !is_supported(spec) {
            let found = spec.chars().take(40).collect();
            return Err(TrustError::SpecVersion { role: self.role.clone(), found });
        }
        let content: T = from_value(&self.signed).map_err(TrustError::json(&self.role))?;
        content.check(&self.role)?;
        Ok(content)
    }
}

/// Every 1.x is compatible (spec 4.3: the major version changes when clients break).
fn is_supported(spec_version: &str) -> bool {
    let parts: Vec<&str> = spec_version.split('.').collect();
    let numeric = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    matches!(parts.len(), 2 | 3) && parts[0] == "1" && parts.iter().all(numeric)
}

#[cfg(test)]
mod tests {
    use super::is_supported;

    #[test]
    fn only_specification_one() {
        for good in ["1.0", "1.0.34", "1.10.0"] {
            assert!(is_supported(good), "{good}");
        }
        for wrong in ["", "1", "2.0.0", "0.9", "1.", "1.0.0.0", "1.x", "10.0", "1.0-beta", " 1.0"] {
            assert!(!is_supported(wrong), "{wrong:?}");
        }
    }
}

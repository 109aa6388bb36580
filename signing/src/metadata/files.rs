//! How one metadata file names and pins another.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};

use super::Extra;
use crate::error::TrustError;
use crate::hex;

/// What timestamp says of snapshot, and snapshot of every targets file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaFile {
    /// Version that the file must have.
    #[serde(deserialize_with = "super::positive")]
    pub version: u64,
    /// Exact length in bytes, if listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Hashes, if listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Hashes>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Hash function name → lower-case hex. SHA-256 and SHA-512 are understood, and all that are understood must match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hashes(BTreeMap<String, String>);

impl MetaFile {
    /// Pins exactly `bytes`, which have `version`.
    pub fn of(version: u64, bytes: &[u8]) -> Self {
        let hashes = Some(Hashes::sha256(&Sha256::digest(bytes).into()));
        Self { version, length: Some(bytes.len() as u64), hashes, extra: Extra::new() }
    }

    /// Only the version, as for the targets files in a snapshot.
    pub fn version_only(version: u64) -> Self {
        Self { version, length: None, hashes: None, extra: Extra::new() }
    }

    /// The most bytes to fetch: the listed length, else `limit`.
    ///
    /// # Errors
    /// [`TrustError::EndlessData`] if the listed length is beyond `limit`.
    pub fn max_len(&self, role: &str, limit: u64) -> Result<u64, TrustError> {
        match self.length {
            Some(found) if found > limit => {
                Err(TrustError::EndlessData { role: role.to_owned(), limit, found })
            }
            length => Ok(length.unwrap_or(limit)),
        }
    }

    /// Checks length and hashes, before anything is parsed.
    ///
    /// # Errors
    /// [`TrustError::EndlessData`], [`TrustError::LengthMismatch`], [`TrustError::HashMismatch`], [`TrustError::UnknownHash`].
    pub fn check_bytes(&self, role: &str, bytes: &[u8], limit: u64) -> Result<(), TrustError> {
        let found = bytes.len() as u64;
        if found > limit {
            return Err(TrustError::EndlessData { role: role.to_owned(), limit, found });
        }
        if let Some(expected) = self.length.filter(|length| *length != found) {
            return Err(TrustError::LengthMismatch { role: role.to_owned(), expected, found });
        }
        self.hashes.as_ref().map_or(Ok(()), |hashes| hashes.check(role, bytes))
    }
}

impl Hashes {
    /// Only SHA-256.
    pub fn sha256(digest: &[u8; 32]) -> Self {
        Self(BTreeMap::from([("sha256".to_owned(), hex::encode(digest))]))
    }

    /// The SHA-256, if it is listed in its only accepted spelling.
    pub fn get_sha256(&self) -> Option<[u8; 32]> {
        hex::decode(self.0.get("sha256")?)
    }

    /// The hash of a kind (`sha512`), as listed.
    pub fn get(&self, algorithm: &str) -> Option<&str> {
        self.0.get(algorithm).map(String::as_str)
    }

    /// Whether a hash of a known kind is listed, in its only accepted spelling.
    pub fn is_known(&self) -> bool {
        self.get_sha256().is_some()
            || self.get("sha512").is_some_and(|text| hex::decode::<64>(text).is_some())
    }

    pub(crate) fn check(&self, role: &str, bytes: &[u8]) -> Result<(), TrustError> {
        let mut known = 0;
        for (algorithm, expected) in &self.0 {
            let found = match algorithm.as_str() {
                "sha256" => hex::encode(&Sha256::digest(bytes)),
                "sha512" => hex::encode(&Sha512::digest(bytes)),
                _ => continue,
            };
            known += 1;
            if *expected != found {
                let (role, algorithm) = (role.to_owned(), algorithm.clone());
                let expected = expected.chars().take(128).collect();
                return Err(TrustError::HashMismatch { role, algorithm, expected, found });
            }
        }
        if known == 0 { Err(TrustError::UnknownHash { what: format!("{role} metadata") }) } else { Ok(()) }
    }
}

/// The name under which a role's file is fetched: `7.releases.json`, or `timestamp.json` without a version.
///
/// Every byte of the role's name that is not unreserved in a URL is percent-encoded, so the name is safe both as one segment of
/// a URL and as a file name, whatever a delegation is called.
pub fn file_name(role: &str, version: Option<u64>) -> String {
    let mut name = version.map(|version| format!("{version}.")).unwrap_or_default();
    for byte in role.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name + ".json"
}

#[cfg(test)]
mod tests {
    use super::{Hashes, MetaFile, file_name};
    use crate::error::TrustError;

    #[test]
    fn names_stay_inside_one_directory() {
        assert_eq!(file_name("releases", Some(7)), "7.releases.json");
        assert_eq!(file_name("timestamp", None), "timestamp.json");
        assert_eq!(file_name("../x", Some(1)), "1...%2Fx.json");
        assert_eq!(file_name("../x", None), "..%2Fx.json");
        assert_eq!(file_name("a/b?c#d%\0é", Some(1)), "1.a%2Fb%3Fc%23d%25%00%C3%A9.json");
    }

    #[test]
    fn bytes_must_be_the_listed_ones() {
        let file = MetaFile::of(3, b"abc");
        assert_eq!(file.check_bytes("snapshot", b"abc", 10), Ok(()));
        assert!(matches!(file.check_bytes("snapshot", b"abd", 10), Err(TrustError::HashMismatch { .. })));
        assert!(matches!(file.check_bytes("snapshot", b"ab", 10), Err(TrustError::LengthMismatch { .. })));
        assert!(matches!(file.check_bytes("snapshot", b"abc", 2), Err(TrustError::EndlessData { .. })));
        assert!(matches!(file.max_len("snapshot", 2), Err(TrustError::EndlessData { found: 3, .. })));
        assert_eq!(file.max_len("snapshot", 10), Ok(3));
        assert_eq!(MetaFile::version_only(1).max_len("snapshot", 10), Ok(10));
        assert_eq!(MetaFile::version_only(1).check_bytes("snapshot", b"any", 10), Ok(()));
    }

    #[test]
    fn every_known_hash_must_match_and_one_must_be_known() {
        let check = |json: &str| {
            let hashes: Hashes = serde_json::from_str(json).unwrap();
            hashes.check("snapshot", b"abc")
        };
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(check(&format!(r#"{{"sha256":"{sha256}","md5":"?"}}"#)), Ok(()));
        let wrong_512 = format!(r#"{{"sha256":"{sha256}","sha512":"00"}}"#);
        assert!(
            matches!(check(&wrong_512), Err(TrustError::HashMismatch { algorithm, .. }) if algorithm == "sha512")
        );
        let upper = format!(r#"{{"sha256":"{}"}}"#, sha256.to_uppercase());
        assert!(matches!(check(&upper), Err(TrustError::HashMismatch { .. })));
        assert!(matches!(check(r#"{"md5":"?"}"#), Err(TrustError::UnknownHash { .. })));
        assert!(matches!(check("{}"), Err(TrustError::UnknownHash { .. })));
    }
}

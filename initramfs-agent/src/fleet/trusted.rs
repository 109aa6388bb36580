//! The trusted metadata of a node: what the record keeps, or what the initramfs brought.

use std::cmp::Ordering;

use image_format::record::TrustedText;
use signing::TrustedFiles;
use signing::metadata::{Envelope, Root};

/// Largest embedded root, in bytes; as the verifier's limit.
const ROOT_MAX: usize = 512 << 10;

/// Where to begin a refresh. The record's files are newer than the embedded root, unless the initramfs brings a newer root, or
/// another one of the same version: then the repository was made anew, and what the record keeps belongs to the old one.
///
/// A newer root of the same repository keeps the files that guard against a rollback: else everybody who can send a node an old
/// state would only have to wait for the next initramfs. They go when a key that could sign them was revoked, because what a thief
/// numbered must not count.
pub fn start(embedded: &[u8], kept: Option<&TrustedText>) -> TrustedFiles {
    let fresh = || TrustedFiles::from_root(embedded);
    let Some(kept) = kept else { return fresh() };
    match (version(kept.root.as_bytes()), version(embedded)) {
        (None, _) => fresh(),
        (Some(_), None) => files(kept),
        (Some(kept_version), Some(embedded_version)) => match embedded_version.cmp(&kept_version) {
            Ordering::Less => files(kept),
            Ordering::Equal if kept.root.as_bytes() == embedded => files(kept),
            Ordering::Equal => fresh(),
            Ordering::Greater if same_online_keys(kept.root.as_bytes(), embedded) => {
                TrustedFiles { root: embedded.to_owned(), ..files(kept) }
            }
            Ordering::Greater => fresh(),
        },
    }
}

/// The version that a root says it has; it is verified later.
fn version(root: &[u8]) -> Option<u64> {
    signing::parse(root, ROOT_MAX).ok()?.get("signed")?.get("version")?.as_u64()
}

/// Whether no key that could sign timestamp or snapshot was revoked between two roots.
fn same_online_keys(older: &[u8], newer: &[u8]) -> bool {
    let read = |bytes| Envelope::parse("root", bytes, ROOT_MAX as u64).ok()?.read::<Root>().ok();
    let (Some(older), Some(newer)) = (read(older), read(newer)) else { return false };
    let (older, newer) = (older.roles, newer.roles);
    !older.timestamp.revoked_by(&newer.timestamp) && !older.snapshot.revoked_by(&newer.snapshot)
}

/// The record's form as the verifier takes it.
pub fn files(text: &TrustedText) -> TrustedFiles {
    let bytes = |text: &Option<String>| text.as_ref().map(|text| text.clone().into_bytes());
    TrustedFiles {
        root: text.root.clone().into_bytes(),
        timestamp: bytes(&text.timestamp),
        snapshot: bytes(&text.snapshot),
        targets: bytes(&text.targets),
        delegated: text
            .delegated
            .iter()
            .map(|(role, text)| (role.clone(), text.clone().into_bytes()))
            .collect(),
    }
}

/// The verifier's files as the record keeps them, with the two targets of this node. Verified files are UTF-8.
pub fn text(files: &TrustedFiles, assignments: Option<String>, pin: Option<String>) -> TrustedText {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    TrustedText {
        root: text(&files.root),
        timestamp: files.timestamp.as_deref().map(text),
        snapshot: files.snapshot.as_deref().map(text),
        targets: files.targets.as_deref().map(text),
        delegated: files.delegated.iter().map(|(role, bytes)| (role.clone(), text(bytes))).collect(),
        assignments,
        pin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(version: u64, key: &str) -> String {
        format!(r#"{{"signed":{{"_type":"root","version":{version},"key":"{key}"}}}}"#)
    }

    fn kept(root: String) -> TrustedText {
        let mut kept = text(&TrustedFiles::from_root(root), None, None);
        kept.timestamp = Some("t".to_owned());
        kept
    }

    #[test]
    fn the_newer_root_is_the_start() {
        let embedded = root(2, "a");
        let started = |kept: &TrustedText| {
            let files = start(embedded.as_bytes(), Some(kept));
            (files.root == embedded.as_bytes(), files.timestamp.is_some())
        };
        assert_eq!(started(&kept(root(2, "a"))), (true, true), "the same");
        assert_eq!(started(&kept(root(3, "a"))), (false, true), "rotated since");
        assert_eq!(started(&kept(root(1, "a"))), (true, false), "a newer initramfs of nobody knows whom");
        assert_eq!(started(&kept(root(2, "b"))), (true, false), "another repository");
        assert_eq!(started(&kept("garbage".to_owned())), (true, false));
        assert_eq!(start(b"garbage", Some(&kept(root(1, "a")))).root, root(1, "a").into_bytes());
    }

    #[test]
    fn both_forms_hold_the_same() {
        let mut kept = kept(root(1, "a"));
        kept.delegated.insert("pins".to_owned(), "p".to_owned());
        assert_eq!(text(&files(&kept), None, None), kept);
    }
}

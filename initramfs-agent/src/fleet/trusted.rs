//! The trusted metadata of a node: what the record keeps, or what the initramfs brought.

use image_format::record::{Record, TrustedText};
use signing::metadata::{Envelope, Root, file_name};
use signing::{Client, TrustedFiles, UnixTime};

/// Largest embedded root, in bytes; as the verifier's limit.
const ROOT_MAX: usize = 512 << 10;

/// Most bytes of roots that the record keeps; those beyond are fetched again.
const CHAIN_MAX: usize = 1 << 20;

/// Where a refresh begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The newest root that follows from the embedded one, and the record's files as far as they are good under it.
    pub files: TrustedFiles,
    /// The roots after the embedded one, in order.
    pub roots: Vec<String>,
}

/// Where to begin a refresh. Trust begins with the root in the initramfs: a root in the record counts only if a chain of signatures
/// leads to it from there. So who could write the disk once, as root on the running node can, cannot make it follow another
/// repository from then on.
///
/// The record's other files guard against a rollback, and a newer root in the initramfs does not end that: else everybody who can
/// send a node an old state would only have to wait for the next image. They go when a key that could sign them was revoked,
/// because what a thief numbered must not count.
pub fn start(embedded: &[u8], record: &Record) -> Start {
    let roots = chain(embedded, &record.roots);
    let root = roots.last().map_or(embedded, |root| root.as_bytes());
    let files = match &record.trusted {
        Some(kept) if kept.root.as_bytes() == root || same_online_keys(kept.root.as_bytes(), root) => {
            TrustedFiles { root: root.to_owned(), ..files(kept) }
        }
        _ => TrustedFiles::from_root(root),
    };
    Start { files, roots }
}

/// Those of the kept roots that follow from the embedded one, without a gap. Those that it has overtaken are left out.
pub(super) fn chain(embedded: &[u8], kept: &[String]) -> Vec<String> {
    // The time does not matter: every root but the newest may have expired, and that one is checked by the refresh.
    let Ok(mut client) = Client::new(TrustedFiles::from_root(embedded), UnixTime(0)) else {
        return Vec::new();
    };
    let mut roots = Vec::new();
    for root in kept {
        let next = client.root().version.saturating_add(1);
        if version(root.as_bytes()).is_some_and(|version| version < next) {
            continue;
        }
        if client.feed(&file_name("root", Some(next)), Some(root.as_bytes())).is_err() {
            break;
        }
        roots.push(root.clone());
    }
    roots
}

/// The roots to keep: `before`, and of those that were offered in this refresh the ones that `client` has accepted.
pub(super) fn roots(before: Vec<String>, offered: Vec<Vec<u8>>, client: &Client) -> Vec<String> {
    let accepted = |root: &Vec<u8>| version(root).is_some_and(|version| version <= client.root().version);
    let new = offered.into_iter().filter(accepted).filter_map(|root| String::from_utf8(root).ok());
    let mut room = CHAIN_MAX;
    let fits = |root: &String| {
        let left = room.checked_sub(root.len());
        room = left.unwrap_or(0);
        left.is_some()
    };
    before.into_iter().chain(new).take_while(fits).collect()
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

    #[test]
    fn both_forms_hold_the_same() {
        let mut kept = text(&TrustedFiles::from_root("root"), None, None);
        kept.timestamp = Some("t".to_owned());
        kept.delegated.insert("pins".to_owned(), "p".to_owned());
        assert_eq!(text(&files(&kept), None, None), kept);
    }
}

//! Verifying what is in the store, without regard to expiry.

use std::collections::BTreeMap;

use signing::client::{Client, Fetch, load_all, refresh};
use signing::limits::MAX_ROOT_ROTATIONS;
use signing::metadata::file_name;
use signing::{TrustedFiles, UnixTime};

use super::listing::{Listing, Targets};
use super::names::{MetadataFile, TIMESTAMP};
use super::{ContentError, LoadError, Repository, Upload};
use crate::store::StoreError;

/// Before everything: nothing has expired.
pub(super) const ALWAYS: UnixTime = UnixTime(i64::MIN);

/// Times that the files are read while commits keep replacing them.
const ATTEMPTS: u32 = 5;

/// The client of TUF over the store's own files, with all roles loaded; `None` before the first commit.
///
/// A commit that was killed may have left newer roots. They were signed as roots must be, so they count, unless the rest, which
/// they do not belong to, does not verify under them.
pub(super) fn load(repository: &Repository<'_>) -> Result<Option<Client>, LoadError> {
    load_from(repository, |name| repository.read_metadata(name))
}

/// As [`load`], with files that are damaged in the store read from `sent`: they are what the store's own timestamp says they are.
pub(super) fn load_repaired(
    repository: &Repository<'_>,
    sent: &BTreeMap<String, Vec<u8>>,
) -> Result<Option<Client>, LoadError> {
    load_from(repository, |name| match sent.get(name) {
        Some(bytes) if root_version(name).is_none() && name != TIMESTAMP => Ok(Some(bytes.clone())),
        _ => repository.read_metadata(name),
    })
}

fn load_from(
    repository: &Repository<'_>,
    source: impl Fn(&str) -> Result<Option<Vec<u8>>, StoreError>,
) -> Result<Option<Client>, LoadError> {
    let store = |error| LoadError::Content(ContentError::Store(error));
    let timestamp = || repository.read_metadata(TIMESTAMP).map_err(store);
    let mut attempts = 1..=ATTEMPTS;
    loop {
        let before = timestamp()?;
        if before.is_none() {
            return Ok(None);
        }
        let root = repository.read_metadata("1.root.json").map_err(store)?.ok_or(LoadError::NoRoot)?;
        let result = load_newest(repository, &source, &root);
        // A commit in the meantime can have shown us the old roots and the new timestamp.
        if result.is_ok() || attempts.next().is_none() || timestamp()? == before {
            return result.map(Some).map_err(LoadError::Content);
        }
    }
}

/// Under the newest root, else under the newest one that the rest belongs to.
fn load_newest(
    repository: &Repository<'_>,
    source: &impl Fn(&str) -> Result<Option<Vec<u8>>, StoreError>,
    root: &[u8],
) -> Result<Client, ContentError> {
    let first = match load_up_to(source, root, u64::MAX) {
        Ok(client) => return Ok(client),
        Err(error) => error,
    };
    let names = repository.metadata_names()?;
    let newest = names.iter().filter_map(|name| root_version(name)).max().unwrap_or(1);
    // Bounded: a client follows no more roots than this either.
    let oldest = newest.saturating_sub(MAX_ROOT_ROTATIONS.into()).max(1);
    (oldest..newest).rev().find_map(|limit| load_up_to(source, root, limit).ok()).ok_or(first)
}

fn load_up_to(
    source: &impl Fn(&str) -> Result<Option<Vec<u8>>, StoreError>,
    root: &[u8],
    newest_root: u64,
) -> Result<Client, ContentError> {
    let mut client = Client::new(TrustedFiles::from_root(root), ALWAYS)?;
    let fetch = |wanted: &Fetch| match root_version(&wanted.name) {
        Some(version) if version > newest_root => Ok(None),
        _ => source(&wanted.name),
    };
    refresh(&mut client, fetch)?;
    load_all(&mut client, fetch)?;
    if !client.root().consistent_snapshot {
        return Err(ContentError::Layout { expected: "consistent snapshots" });
    }
    Ok(client)
}

/// The version in `N.root.json`.
pub(super) fn root_version(name: &str) -> Option<u64> {
    name.parse::<MetadataFile>().ok().filter(|file| file.role == "root")?.version
}

/// A role's file that counts.
pub(super) struct CurrentRole {
    pub(super) role: String,
    pub(super) version: u64,
    pub(super) bytes: Vec<u8>,
}

/// The newest root and every other role of a client that has loaded all of them; the timestamp is last.
pub(super) fn current_roles(client: &Client) -> Vec<CurrentRole> {
    let TrustedFiles { root, timestamp, snapshot, targets, delegated } = client.trusted();
    let mut roles = Vec::new();
    let mut add = |role: &str, version: Option<u64>, bytes: Option<&Vec<u8>>| {
        // A stored role that nobody delegates to any more is not loaded, and has no version here.
        let Some((version, bytes)) = version.zip(bytes) else { return };
        roles.push(CurrentRole { role: role.to_owned(), version, bytes: bytes.clone() });
    };
    let version = |role: &str| client.role(role).map(|content| content.version);
    add("root", Some(client.root().version), Some(root));
    for (role, bytes) in delegated {
        add(role, version(role), Some(bytes));
    }
    add("targets", version("targets"), targets.as_ref());
    add("snapshot", client.snapshot().map(|snapshot| snapshot.version), snapshot.as_ref());
    add("timestamp", client.timestamp().map(|timestamp| timestamp.version), timestamp.as_ref());
    roles
}

/// The files that a client which has loaded all roles relies on, besides the roots: name and content. The timestamp is last.
pub(super) fn current_files(client: &Client) -> Vec<(String, Vec<u8>)> {
    let files = current_roles(client).into_iter().filter(|file| file.role != "root");
    files
        .map(|file| {
            let version = (file.role != "timestamp").then_some(file.version);
            (file_name(&file.role, version), file.bytes)
        })
        .collect()
}

/// Everything that is published.
pub(super) fn export(repository: &Repository<'_>, client: &Client) -> Result<Upload, LoadError> {
    let mut upload = Upload { metadata: current_files(client).into_iter().collect(), ..Upload::default() };
    for version in 1..=client.root().version {
        let name = file_name("root", Some(version));
        let bytes = repository.read_metadata(&name).map_err(ContentError::Store)?;
        upload.metadata.insert(name, bytes.ok_or(LoadError::NoRoot)?);
    }
    let sent = Default::default();
    let targets = Targets { repository, sent: &sent };
    for listed in Listing::of(client)?.files() {
        upload.targets.insert(listed.file.to_string(), targets.bytes(listed)?);
    }
    Ok(upload)
}

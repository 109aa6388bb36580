//! What a server has made of a change comes into the local store: its snapshot and its timestamp.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use image_format::repository::{MetadataFile, Repository, Upload, load_view};
use image_format::store::Store;
use signing::TrustedFiles;
use signing::limits::ROOT_MAX_LEN;

use super::fetch;
use crate::clock;
use crate::destination::Destination;
use crate::fsutil::read_limited;
use crate::pending;
use crate::repo::Repo;

/// Brings what is current at `destination`, verified by the client, and ends what was waiting. `sent` must be part of it.
pub(crate) fn take_over(
    repo: &Repo,
    store: &Store,
    destination: &dyn Destination,
    sent: &Upload,
) -> anyhow::Result<()> {
    let what = || format!("take over what {} has signed", destination.name());
    let now = clock::now()?;
    let known = load_view(store).with_context(what)?.map(|view| view.images.into_keys().collect());
    let trusted = trusted(repo, store)?;
    let fetched = fetch(trusted, store, &known.unwrap_or_default(), &destination.source()?, now);
    let fetched = fetched.with_context(what)?;
    for (role, version) in newest(sent).iter().filter(|(role, _)| *role != "snapshot") {
        let found = fetched.roles.get(role).map_or(0, |(found, _)| *found);
        if found < *version {
            bail!("{}: expected {role} version {version}, found {found}", what());
        }
    }
    let waiting = repo.pending_as_kept()?.unsettled(|role| fetched.roles.get(role).copied());
    let is_sent = |name: &String, bytes: &Vec<u8>| sent.metadata.get(name) == Some(bytes);
    let is_settled = waiting.files().metadata.iter().all(|(name, bytes)| is_sent(name, bytes));
    Repository::open(store).commit(fetched.upload, now).with_context(what)?;
    // What another command has signed here since goes on waiting.
    if is_settled { pending::clear(&repo.pending_dir()) } else { Ok(()) }
}

/// What to go on from: all that is here, or the root that this repository was made with.
pub(crate) fn trusted(repo: &Repo, store: &Store) -> anyhow::Result<TrustedFiles> {
    let trusted = Repository::open(store).trusted().context("read signed metadata")?;
    trusted.map_or_else(|| Ok(TrustedFiles::from_root(read_limited(&repo.root_json(), ROOT_MAX_LEN)?)), Ok)
}

fn newest(upload: &Upload) -> BTreeMap<String, u64> {
    let mut newest = BTreeMap::new();
    for name in upload.metadata.keys() {
        if let Ok(MetadataFile { version: Some(version), role }) = name.parse() {
            let known = newest.entry(role).or_insert(version);
            *known = version.max(*known);
        }
    }
    newest
}

//! What is published, loaded for decisions.

use std::collections::BTreeMap;

use signing::UnixTime;
use signing::client::Client;
use signing::metadata::{RoleMetadata, Root};

use super::listing::{Listing, Targets, floors};
use super::{LoadError, Repository, load};
use crate::patches::Patches;
use crate::pin::{Assignments, Pin};
use crate::store::Store;
use crate::{Group, ImageName, Manifest, Role, Sha256};

/// Everything that is published, verified. Expired metadata is in it: see [`View::expiries`].
#[derive(Debug, Clone)]
pub struct View {
    /// Listed images: manifest digest and manifest.
    pub images: BTreeMap<ImageName, (Sha256, Manifest)>,
    /// The patches to listed images.
    pub patches: BTreeMap<ImageName, Patches>,
    /// Pins. Each names a listed image with its manifest digest.
    pub pins: BTreeMap<Group, Pin>,
    /// Which node is in which group.
    pub assignments: Assignments,
    /// Lowest release counters.
    pub floors: BTreeMap<Role, u64>,
    /// End of validity by role: `root`, `timestamp`, `snapshot`, `targets`, `releases`, `pins`.
    pub expiries: BTreeMap<String, UnixTime>,
    /// Version by role, as in `expiries`.
    pub versions: BTreeMap<String, u64>,
    /// SHA-256 of the file by role, as in `expiries`.
    pub digests: BTreeMap<String, Sha256>,
    /// The newest root that belongs to this view.
    pub root: Root,
    /// Version of the newest root that belongs to this view.
    pub root_version: u64,
}

/// Loads what is published in a store; `None`: nothing yet.
///
/// # Errors
/// [`LoadError`] when what is there does not verify.
pub fn load_view(store: &Store) -> Result<Option<View>, LoadError> {
    let repository = Repository::open(store);
    let Some(client) = load::load(&repository)? else { return Ok(None) };
    let listing = Listing::of(&client)?;
    let sent = BTreeMap::new();
    let targets = Targets { repository: &repository, sent: &sent };
    let mut images = BTreeMap::new();
    for (name, listed) in &listing.images {
        images.insert(name.clone(), (listed.file.sha256, targets.manifest(name, listed)?));
    }
    let mut patches = BTreeMap::new();
    for (name, listed) in &listing.patches {
        patches.insert(name.clone(), targets.patches(&listing, name, listed)?);
    }
    let (versions, expiries) = validity(&client);
    let digests = load::current_roles(&client).into_iter().map(|file| (file.role, Sha256::of(&file.bytes)));
    Ok(Some(View {
        images,
        patches,
        pins: targets.pins(&listing)?,
        assignments: targets.assignments(&listing)?,
        floors: floors(&client)?,
        expiries,
        versions,
        digests: digests.collect(),
        root: client.root().clone(),
        root_version: client.root().version,
    }))
}

fn validity(client: &Client) -> (BTreeMap<String, u64>, BTreeMap<String, UnixTime>) {
    let mut versions = BTreeMap::new();
    let mut expiries = BTreeMap::new();
    let mut add = |role: &str, version: u64, expires: UnixTime| {
        versions.insert(role.to_owned(), version);
        expiries.insert(role.to_owned(), expires);
    };
    add("root", client.root().version(), client.root().expires());
    let timestamp = client.timestamp().map(|role| ("timestamp", role.version(), role.expires()));
    let snapshot = client.snapshot().map(|role| ("snapshot", role.version(), role.expires()));
    let delegated = client.trusted().delegated.keys().map(String::as_str);
    let targets = delegated.chain(["targets"]);
    let targets =
        targets.filter_map(|name| client.role(name).map(|role| (name, role.version(), role.expires())));
    targets.chain(timestamp).chain(snapshot).for_each(|(role, version, expires)| add(role, version, expires));
    (versions, expiries)
}

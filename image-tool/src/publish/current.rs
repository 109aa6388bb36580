//! What is signed, by file name, as it will be sent.

use std::collections::BTreeMap;

use anyhow::Context as _;
use fleet_protocol::publish::RoleFile;
use image_format::repository::{MetadataFile, Repository, TargetFile, TargetKind, Upload, View};
use image_format::store::Store;
use image_format::{ImageName, Manifest, Sha256};

use crate::repo::Repo;

/// Roles that are signed by people, and never by a server.
pub(crate) const OFFLINE: [&str; 4] = ["root", "targets", "releases", "pins"];

/// The current metadata and targets, verified against each other.
#[derive(Debug)]
pub(crate) struct Current {
    /// Metadata (every root from the first on) and targets, by file name. Snapshot and timestamp are among them if they list all
    /// the rest.
    pub(crate) files: Upload,
    /// The images that the metadata lists.
    pub(crate) images: BTreeMap<ImageName, (Sha256, Manifest)>,
    /// Version and digest of each role.
    pub(crate) roles: BTreeMap<String, RoleFile>,
    /// Digests of all versions of the offline roles that this repository ever had, by file name: what the current ones follow from.
    pub(crate) history: BTreeMap<String, Sha256>,
}

impl Current {
    /// Reads everything that is current in the repository. The caller holds its lock.
    pub(crate) fn load(repo: &Repo, store: &Store, view: &View) -> anyhow::Result<Self> {
        let stored = Repository::open(store);
        let mut files = stored.export().context("read signed metadata")?.unwrap_or_default();
        let waiting = repo.pending(store)?.files();
        if !waiting.metadata.is_empty() {
            files.metadata.retain(|name, _| !is_moving(role_of(name)));
        }
        files.metadata.extend(waiting.metadata);
        files.targets.extend(waiting.targets);
        let role = |(role, version): (&String, &u64)| {
            Some((role.clone(), RoleFile { version: *version, sha256: *view.digests.get(role)? }))
        };
        let mut history = BTreeMap::new();
        for name in stored.metadata_names().context("read signed metadata")? {
            if OFFLINE.contains(&role_of(&name))
                && let Some(bytes) = stored.read_metadata(&name).context("read signed metadata")?
            {
                history.insert(name, Sha256::of(&bytes));
            }
        }
        let mut current = Self {
            images: view.images.clone(),
            roles: view.versions.iter().filter_map(role).collect(),
            history,
            files: Upload::default(),
        };
        current.add(files);
        Ok(current)
    }

    /// The same after `signed`, which lists no other images and is not in the store yet. Files that it supersedes stay among
    /// the rest: the other side keeps only what is newest.
    pub(crate) fn followed_by(mut self, signed: &Upload) -> Self {
        if !signed.metadata.contains_key("timestamp.json") {
            self.files.metadata.retain(|name, _| !is_moving(role_of(name)));
        }
        self.add(signed.clone());
        self
    }

    fn add(&mut self, files: Upload) {
        for (name, bytes) in &files.metadata {
            let Ok(MetadataFile { version: Some(version), role }) = name.parse() else { continue };
            if !OFFLINE.contains(&role.as_str()) {
                continue;
            }
            let sha256 = Sha256::of(bytes);
            self.history.insert(name.clone(), sha256);
            if self.roles.get(&role).is_none_or(|known| known.version <= version) {
                self.roles.insert(role, RoleFile { version, sha256 });
            }
        }
        self.files.metadata.extend(files.metadata);
        self.files.targets.extend(files.targets);
    }
}

/// `12.pins.json` → (12, pins); `timestamp.json` has no version.
pub(super) fn split(name: &str) -> Option<(u64, &str)> {
    let (version, rest) = name.split_once('.')?;
    Some((version.parse().ok()?, rest.strip_suffix(".json")?))
}

/// The role of a metadata file.
pub(super) fn role_of(name: &str) -> &str {
    split(name).map_or_else(|| name.strip_suffix(".json").unwrap_or(name), |(_, role)| role)
}

/// Whether a role is new with every publication.
pub(super) fn is_moving(role: &str) -> bool {
    matches!(role, "snapshot" | "timestamp")
}

/// The file of an image's manifest.
pub(crate) fn manifest_file(name: &ImageName, digest: &Sha256) -> String {
    TargetFile { sha256: *digest, kind: TargetKind::Image(name.clone()) }.to_string()
}

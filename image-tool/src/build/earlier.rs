//! Images that this repository knows: signed ones, and builds that are not signed yet.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context as _;
use image_format::index::{INDEX_MAX, Index};
use image_format::manifest::MANIFEST_MAX;
use image_format::repository::load_view;
use image_format::store::Store;
use image_format::{ImageName, Manifest, Role};

use crate::fsutil;

/// Name of the manifest's file in a build's directory.
pub(crate) const MANIFEST_FILE: &str = "manifest.json";

/// Earlier images with their manifests.
#[derive(Debug, Default)]
pub(crate) struct Earlier(BTreeMap<ImageName, Manifest>);

impl Earlier {
    /// Reads the manifests in `builds` and the signed ones of `store`, which win.
    pub(crate) fn load(builds: &Path, store: &Store) -> anyhow::Result<Self> {
        let mut images = read_builds(builds)?;
        if let Some(view) = load_view(store).context("load the local store's metadata")? {
            images.extend(view.images.into_iter().map(|(name, (_, manifest))| (name, manifest)));
        }
        Ok(Self(images))
    }

    /// The image of this name.
    pub(crate) fn get(&self, name: &ImageName) -> Option<&Manifest> {
        self.0.get(name)
    }

    /// The image that `other` means: `role@version`, or a build's directory.
    pub(crate) fn find(&self, other: &str) -> anyhow::Result<Manifest> {
        let path = Path::new(other).join(MANIFEST_FILE);
        if path.is_file() {
            return read_manifest(&path);
        }
        let name: ImageName = other.parse().context("expected a build's directory or an image")?;
        self.0.get(&name).cloned().with_context(|| format!("{name} is not in this repository"))
    }

    /// The counter of the next image of `role`.
    pub(crate) fn next_counter(&self, role: &Role) -> u64 {
        let of_role = self.0.values().filter(|manifest| manifest.name.role == *role);
        1 + of_role.map(|manifest| manifest.counter).max().unwrap_or(0)
    }

    /// The indexes of all images, as far as `store` has them.
    pub(crate) fn indexes(&self, store: &Store) -> anyhow::Result<Vec<Index>> {
        let mut indexes = Vec::new();
        for manifest in self.0.values() {
            let id = manifest.root.index.id;
            if store.contains(id)? {
                let bytes = store.read(id, INDEX_MAX)?;
                indexes.push(Index::parse(&bytes).with_context(|| format!("index of {}", manifest.name))?);
            }
        }
        Ok(indexes)
    }
}

fn read_builds(builds: &Path) -> anyhow::Result<BTreeMap<ImageName, Manifest>> {
    let read = || format!("read {}", builds.display());
    let entries = match fs::read_dir(builds) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries.with_context(read)?,
    };
    let mut images = BTreeMap::new();
    for entry in entries {
        let path = entry.with_context(read)?.path().join(MANIFEST_FILE);
        // A build that was killed has no manifest.
        if path.is_file() {
            let manifest = read_manifest(&path)?;
            images.insert(manifest.name.clone(), manifest);
        }
    }
    Ok(images)
}

fn read_manifest(path: &Path) -> anyhow::Result<Manifest> {
    let bytes = fsutil::read_limited(path, MANIFEST_MAX)?;
    Manifest::parse(&bytes).with_context(|| format!("read {}", path.display()))
}

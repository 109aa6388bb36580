//! What is signed, by file name, as it will be sent.

use std::collections::BTreeMap;

use anyhow::Context as _;
use image_format::repository::{Repository, TargetFile, TargetKind, Upload, View};
use image_format::store::Store;
use image_format::{ImageName, Manifest, Sha256};

/// The current metadata and targets, verified against each other.
#[derive(Debug)]
pub(crate) struct Current {
    /// Metadata (every root from the first on) and targets, by file name.
    pub(crate) files: Upload,
    /// The images that the metadata lists.
    pub(crate) images: BTreeMap<ImageName, (Sha256, Manifest)>,
}

impl Current {
    /// Reads everything that is current in `store`. The caller holds the repository's lock.
    pub(crate) fn load(store: &Store, view: &View) -> anyhow::Result<Self> {
        let files = Repository::open(store).export().context("read signed metadata")?;
        let files = files.context("read signed metadata: there is none")?;
        Ok(Self { files, images: view.images.clone() })
    }

    /// The same after `signed`, which lists no other images and is not in the store yet. Files that it supersedes stay among
    /// the rest: the other side keeps only what the newest timestamp leads to.
    pub(crate) fn followed_by(mut self, signed: &Upload) -> Self {
        self.files.metadata.extend(signed.metadata.clone());
        self.files.targets.extend(signed.targets.clone());
        self
    }
}

/// The file of an image's manifest.
pub(crate) fn manifest_file(name: &ImageName, digest: &Sha256) -> String {
    TargetFile { sha256: *digest, kind: TargetKind::Image(name.clone()) }.to_string()
}

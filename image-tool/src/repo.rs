//! The admin's repository directory.
//!
//! ```text
//! bascule.toml     settings, strict; written last by `init`, so that its presence means "complete"
//! root.json        the initial trusted root, which the initramfs embeds
//! keys/ROLE.pem    PKCS#8 v1 PEM, mode 0600
//! store/           a store directory; the local truth
//! builds/NAME/     manifest.json, build.json: built
//! ```

use std::path::{Path, PathBuf};

use anyhow::bail;
use image_format::ImageName;

/// An existing repository directory.
#[derive(Debug)]
pub(crate) struct Repo {
    dir: PathBuf,
}

impl Repo {
    /// Opens the repository at `dir`.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        if !dir.join("bascule.toml").is_file() {
            bail!(
                "{} is not a repository: it has no bascule.toml (make one with `imgtool init`, or name it with --repo)",
                dir.display()
            );
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// The local store.
    pub(crate) fn store_dir(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// The initial trusted root.
    pub(crate) fn root_json(&self) -> PathBuf {
        self.dir.join("root.json")
    }

    /// Where a build of `image` leaves `manifest.json` and `build.json`.
    pub(crate) fn build_dir(&self, image: &ImageName) -> PathBuf {
        self.dir.join("builds").join(image.to_string())
    }
}

//! The admin's repository directory.
//!
//! ```text
//! bascule.toml     settings, strict; its presence says that the repository is complete
//! root.json        the initial trusted root, which the initramfs embeds
//! keys/ROLE.pem    PKCS#8 PEM, mode 0600, also as keys/ROLE-*.pem; public halves beside as .pub
//! store/           a store directory; the local truth: signing happens here first
//! pending/         signed changes that no snapshot lists yet, because a server signs those
//! builds/NAME/     manifest.json, build.json: built
//! cache/           archives of root trees; may be removed at any time between builds
//! ```
//!
//! Who changes the store's metadata holds the lock (`flock` on `bascule.toml`) from reading it to committing, so that two
//! commands at once cannot sign two different files of the same version.

pub(crate) mod config;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use image_format::ImageName;
use image_format::repository::{Repository, View, load_view};
use image_format::store::Store;
use signing::limits::ROOT_MAX_LEN;
use signing::repo::{Lifetimes, Repository as Model, RoleKeys};

use self::config::Config;
use crate::fsutil::read_limited;
use crate::keys::{KeyRing, Passphrases};
use crate::pending::{self, Pending};

/// An existing repository directory.
#[derive(Debug)]
pub(crate) struct Repo {
    dir: PathBuf,
    config: Config,
}

/// Held while metadata changes; released when dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Repo {
    /// Opens the repository at `dir`.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        if !dir.join(config::FILE).is_file() {
            bail!(
                "{}: not a repository: expected {} in it (make one with `imgtool init`, or name it with --repo or BASCULE_REPO)",
                dir.display(),
                config::FILE
            );
        }
        Ok(Self { dir: dir.to_owned(), config: Config::load(dir)? })
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The settings.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// What can sign here.
    pub(crate) fn keys(&self, passphrases: &Arc<Passphrases>) -> KeyRing {
        KeyRing::new(&self.dir, &self.config.signers, passphrases)
    }

    /// The directory of the local store.
    pub(crate) fn store_dir(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// The local store.
    pub(crate) fn store(&self) -> anyhow::Result<Store> {
        let dir = self.store_dir();
        Store::open(&dir).with_context(|| format!("open store {}", dir.display()))
    }

    /// The initial trusted root.
    pub(crate) fn root_json(&self) -> PathBuf {
        self.dir.join("root.json")
    }

    /// The directory of all builds.
    pub(crate) fn builds_dir(&self) -> PathBuf {
        self.dir.join("builds")
    }

    /// What can be made again: archives of root trees, and temporary files of builds.
    pub(crate) fn cache_dir(&self) -> PathBuf {
        self.dir.join("cache")
    }

    /// Where a build of `image` leaves `manifest.json` and `build.json`.
    pub(crate) fn build_dir(&self, image: &ImageName) -> PathBuf {
        self.builds_dir().join(image.to_string())
    }

    /// Names of all builds, in order.
    pub(crate) fn builds(&self) -> anyhow::Result<Vec<ImageName>> {
        let dir = self.builds_dir();
        let mut names = Vec::new();
        for entry in fs::read_dir(&dir).with_context(|| format!("read directory {}", dir.display()))? {
            let entry = entry.with_context(|| format!("read directory {}", dir.display()))?;
            let name = entry.file_name().to_str().and_then(|name| name.parse().ok());
            names.extend(name.filter(|_| entry.path().join("manifest.json").is_file()));
        }
        names.sort();
        Ok(names)
    }

    /// Waits for nobody: another command that is changing metadata is an error.
    pub(crate) fn lock(&self) -> anyhow::Result<Lock> {
        let path = self.dir.join(config::FILE);
        let file = File::open(&path).with_context(|| format!("lock {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "{}: another imgtool is changing this repository; try again when it is done",
                    self.dir.display()
                )
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
        }
    }

    /// Where signed changes wait for a server that signs snapshot and timestamp.
    pub(crate) fn pending_dir(&self) -> PathBuf {
        self.dir.join("pending")
    }

    /// The signed changes that wait, and those that are settled and were not removed yet.
    pub(crate) fn pending_as_kept(&self) -> anyhow::Result<Pending> {
        Pending::load(&self.pending_dir())
    }

    /// The signed changes that wait.
    pub(crate) fn pending(&self, store: &Store) -> anyhow::Result<Pending> {
        let kept = self.pending_as_kept()?;
        if kept.is_empty() {
            return Ok(kept);
        }
        self.waiting(load_view(store).with_context(|| self.loading())?.as_ref())
    }

    /// The signed metadata of the local store and the changes that wait, verified, to be changed.
    pub(crate) fn model(&self, store: &Store) -> anyhow::Result<Model> {
        self.accepted(store, &self.pending(store)?)
    }

    /// What the local store's metadata and the changes that wait say, verified.
    pub(crate) fn view(&self, store: &Store) -> anyhow::Result<View> {
        let base = load_view(store).with_context(|| self.loading())?;
        let waiting = self.waiting(base.as_ref())?;
        match base {
            Some(base) if waiting.is_empty() => Ok(base),
            base => pending::view(base, &self.accepted(store, &waiting)?, &waiting, store)
                .context("read the signed changes that wait"),
        }
    }

    fn waiting(&self, base: Option<&View>) -> anyhow::Result<Pending> {
        let waiting = self.pending_as_kept()?;
        Ok(waiting.unsettled(|role| {
            base.and_then(|base| Some((*base.versions.get(role)?, *base.digests.get(role)?)))
        }))
    }

    fn accepted(&self, store: &Store, waiting: &Pending) -> anyhow::Result<Model> {
        let files = Repository::open(store).trusted().with_context(|| self.loading())?;
        let mut model = match files {
            Some(files) => Model::load(files, Lifetimes::default()).with_context(|| self.loading())?,
            None if waiting.is_empty() => bail!("{}: there is none", self.loading()),
            None => {
                // Never completed: the first change that waits brings everything, and must bring the root that nodes embed.
                let root = read_limited(&self.root_json(), ROOT_MAX_LEN)?;
                if waiting.files().metadata.get("1.root.json") != Some(&root) {
                    bail!(
                        "{}: expected the root of {}",
                        self.pending_dir().display(),
                        self.root_json().display()
                    );
                }
                Model::create(&RoleKeys::default(), Lifetimes::default())
            }
        };
        for proposal in waiting.proposals()? {
            let what = || {
                format!(
                    "{}: signed on another state than the local store has; `imgtool pull --discard` gives it up",
                    self.pending_dir().display()
                )
            };
            model.accept(&proposal).with_context(what)?;
        }
        Ok(model)
    }

    fn loading(&self) -> String {
        format!("load metadata of {}", self.store_dir().display())
    }
}

//! The pair of images: `ha@1` without and `ha@2` with the security updates of its Debian release.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::fleet::Repo;
use crate::view::{View, megabytes};
use crate::{edit, process, workspace};

/// Two images of one role in one repository, and other forms of the same roots.
pub(super) struct Pair {
    /// The repository; both images are built and signed.
    pub(super) repo: PathBuf,
    /// The root image without the updates.
    pub(super) old: PathBuf,
    /// The root image with them.
    pub(super) new: PathBuf,
    /// Both roots as `mkfs.erofs` makes them by default, for tools that know no better.
    pub(super) plain: [PathBuf; 2],
}

/// The old image.
pub(super) const OLD: &str = "ha@1";
/// The new image.
pub(super) const NEW: &str = "ha@2";

impl Pair {
    /// Builds both images below `out`, or takes those of an earlier run: who wants others removes `pair`.
    pub(super) fn make(view: &View, out: &Path) -> Result<Self> {
        let dir = out.join("pair");
        let complete = dir.join("complete");
        if complete.exists() {
            return Ok(Self::at(&dir));
        }
        fs::remove_dir_all(&dir).or_else(super::ignore_absent)?;
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        let images = dir.join("images");
        edit::copy_dir(&workspace::root().join("images"), &images)?;
        let (first, role) = (images.join("ha-first"), images.join("ha"));
        fs::rename(&role, &first).with_context(|| format!("rename {}", role.display()))?;
        fs::create_dir(&role).with_context(|| format!("create {}", role.display()))?;
        let repo = Repo::at(view, &dir.join("repo"), &images)?;
        repo.init(None)?;
        repo.share_cache()?;
        // Of the new image only what nodes with the old one fetch is compressed anew.
        for (version, security, compression) in [("1", false, "fast"), ("2", true, "best")] {
            let recipe = format!("extends = \"ha-first\"\n[debian]\nsecurity = {security}\n");
            edit::write(&role.join("recipe.toml"), &recipe)?;
            repo.build_with("ha", version, &["--keep-tree", "--compression", compression])?;
            repo.run(&["sign", &format!("ha@{version}")])?;
        }
        let pair = Self::at(&dir);
        plain(view, &pair.old, &pair.plain[0])?;
        plain(view, &pair.new, &pair.plain[1])?;
        edit::write(&complete, "")?;
        Ok(pair)
    }

    fn at(dir: &Path) -> Self {
        let repo = dir.join("repo");
        let root = |name: &str| repo.join("builds").join(name).join("root.erofs");
        let plain = ["old", "new"].map(|name| dir.join(format!("{name}.erofs")));
        Self { old: root(OLD), new: root(NEW), repo, plain }
    }

    /// The file map beside a root image.
    pub(super) fn map(root: &Path) -> PathBuf {
        root.with_extension("map")
    }

    /// In a line.
    pub(super) fn describe(&self) -> String {
        let size = |path: &Path| path.metadata().map_or(0, |found| found.len());
        format!(
            "ha without and with security updates: root images of {} and {}, {} by mkfs.erofs",
            megabytes(size(&self.old)),
            megabytes(size(&self.new)),
            megabytes(size(&self.plain[1]))
        )
    }
}

/// The same root by `mkfs.erofs` as it is.
fn plain(view: &View, root: &Path, image: &Path) -> Result<()> {
    let tree = image.with_extension("tree");
    let mut extract = Command::new("fsck.erofs");
    extract.arg(format!("--extract={}", tree.display())).arg("--overwrite").arg(root);
    process::run(&extract, view)?.success("fsck.erofs --extract")?;
    let mut make = Command::new("mkfs.erofs");
    make.args(["-d0", "-T0", "-U00000000-0000-0000-0000-000000000000"]).arg(image).arg(&tree);
    process::run(&make, view)?.success("mkfs.erofs")?;
    fs::remove_dir_all(&tree).with_context(|| format!("remove {}", tree.display()))?;
    ensure!(image.is_file(), "mkfs.erofs made no {}", image.display());
    Ok(())
}

//! A repository with one image, `base@1`, made once and copied by every test that needs a real image: signed in `repo`, and
//! as it was before in `unsigned`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// The image in it.
pub const IMAGE: &str = "base@1";

mod served;

pub use served::{ServedStore, index_of};

/// Where it lies.
pub fn dir() -> PathBuf {
    workspace::target_dir().join("bascule-fixture")
}

/// That it is there, or an error that says how to make it.
pub fn require() -> Result<()> {
    ensure!(
        dir().join("complete").is_file(),
        "{}: no image to test with; run `cargo verify --only build --only reproducible`",
        dir().display()
    );
    Ok(())
}

/// How far the image of a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Built.
    Unsigned,
    /// Built and signed.
    Signed,
}

impl Stage {
    fn dir(self) -> PathBuf {
        dir().join(match self {
            Self::Unsigned => "unsigned",
            Self::Signed => "repo",
        })
    }
}

/// Copies the repository to `to`. Objects are links to the same files: to damage one, replace the file. The package archives are
/// shared: a build there takes seconds.
pub fn copy_to(to: &Path, stage: Stage) -> Result<()> {
    require()?;
    copy(&stage.dir(), to)?;
    let (cache, link) = (Stage::Signed.dir().join("cache"), to.join("cache"));
    std::os::unix::fs::symlink(&cache, &link).with_context(|| format!("link {}", link.display()))
}

/// Adds the image, built and not signed, to another repository.
pub fn add_build(to: &Path) -> Result<()> {
    require()?;
    let script = "cp -a \"$1/builds/.\" \"$2/builds/\" && for d in objects packs; do mkdir -p \"$2/store/$d\" && { ! [ -d \"$1/store/$d\" ] || cp -al \"$1/store/$d/.\" \"$2/store/$d/\"; } || exit; done";
    let from = Stage::Unsigned.dir();
    let status =
        Command::new("sh").args(["-c", script, "sh"]).args([&from, to]).status().context("run sh")?;
    ensure!(status.success(), "copy the build of {} to {}: {status}", from.display(), to.display());
    Ok(())
}

/// Keeps the repository as it is before signing.
pub fn keep_unsigned() -> Result<()> {
    copy(&Stage::Signed.dir(), &Stage::Unsigned.dir())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    let script = "cd \"$1\" && tar -cf - --exclude=./store/objects --exclude=./store/packs --exclude=./cache . | tar -xf - -C \"$2\" && for d in objects packs; do mkdir -p \"$2/store/$d\" && { ! [ -d store/$d ] || cp -al store/$d/. \"$2/store/$d/\"; } || exit; done";
    let status = Command::new("sh").args(["-c", script, "sh"]).args([from, to]).status().context("run sh")?;
    ensure!(status.success(), "copy {} to {}: {status}", from.display(), to.display());
    Ok(())
}

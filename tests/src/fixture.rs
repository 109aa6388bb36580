//! A repository with one signed image, `base@1`, made once and copied by every test that needs a real image.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// The image in it.
pub const IMAGE: &str = "base@1";

/// Where it lies.
pub fn dir() -> PathBuf {
    workspace::target_dir().join("bascule-fixture")
}

/// Its repository, as an error that says how to make it when it is not there.
pub fn require() -> Result<PathBuf> {
    let repo = dir().join("repo");
    ensure!(
        dir().join("complete").is_file(),
        "{}: no image to test with; run `cargo verify --only build --only reproducible`",
        repo.display()
    );
    Ok(repo)
}

/// Copies the repository to `to`. Objects are links to the same files: to damage one, replace the file.
pub fn copy_to(to: &Path) -> Result<()> {
    let from = require()?;
    std::fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    let script = "cd \"$1\" && tar -cf - --exclude=./store/objects . | tar -xf - -C \"$2\" && cp -al store/objects \"$2/store/\"";
    let status =
        Command::new("sh").args(["-c", script, "sh"]).args([&from, to]).status().context("run sh")?;
    ensure!(status.success(), "copy {} to {}: {status}", from.display(), to.display());
    Ok(())
}

//! Small changes to copies of recipes, by text, so that the recipes stay as people wrote them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Copies a directory with links and modes.
pub fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-a").arg("--").args([from, to]).status().context("run cp")?;
    ensure!(status.success(), "copy {} to {}: {status}", from.display(), to.display());
    Ok(())
}

/// Replaces the one occurrence of `old` in a file.
pub fn replace(path: &Path, old: &str, new: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let count = text.matches(old).count();
    ensure!(count == 1, "{}: expected {old:?} once, found it {count} times", path.display());
    write(path, &text.replace(old, new))
}

/// Appends text to a file.
pub fn append(path: &Path, more: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    write(path, &(text + more))
}

/// Writes a file.
pub fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

//! Files that only their owner may read.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, ensure};

/// A file with a secret must be its owner's alone; `what` names it in the error.
pub(super) fn check_mode(path: &Path, what: &str) -> anyhow::Result<()> {
    let metadata = fs::metadata(path).with_context(|| format!("read permissions of {}", path.display()))?;
    let mode = metadata.permissions().mode() & 0o777;
    ensure!(
        mode & 0o077 == 0,
        "{path}: {what} is accessible to others: expected mode 0600, found {mode:04o}; fix it with `chmod 600 {path}`",
        path = path.display()
    );
    Ok(())
}

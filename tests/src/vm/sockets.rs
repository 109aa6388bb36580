//! A short private directory for a machine's sockets: the path of a socket has at most 107 bytes.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// The directory; removed when dropped.
#[derive(Debug)]
pub(super) struct SocketDir(PathBuf);

impl SocketDir {
    /// Makes one that no other machine has, below the system's temporary directory.
    pub(super) fn make() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bascule-{}-{number}", std::process::id()));
        if path.exists() {
            // Left by a process that had this id before and was killed.
            fs::remove_dir_all(&path).with_context(|| format!("remove {}", path.display()))?;
        }
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("create {}", path.display()))?;
        Ok(Self(path))
    }

    /// The serial console.
    pub(super) fn serial(&self) -> PathBuf {
        self.0.join("serial")
    }

    /// The control socket.
    pub(super) fn qmp(&self) -> PathBuf {
        self.0.join("qmp")
    }

    /// Keeps the directory for good.
    pub(super) fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for SocketDir {
    fn drop(&mut self) {
        if self.0 != Path::new("") {
            // Only tidiness: the directory is private and temporary.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

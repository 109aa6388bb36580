//! A file that appears whole under its name, or not at all.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tempfile::NamedTempFile;

use crate::fsutil::{PUBLIC, parent, sync_dir};

/// What to do with a file that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exists {
    /// Leave it and fail.
    Refuse,
    /// Put the new one in its place.
    Replace,
}

/// A file on its way to its name. Dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Output {
    temporary: NamedTempFile,
    path: PathBuf,
    exists: Exists,
}

impl Output {
    /// Begins a file that shall become `path`. Says at once if it cannot.
    pub(crate) fn create(path: &Path, exists: Exists) -> anyhow::Result<Self> {
        check(path, exists)?;
        // As for any new file, the process's umask takes away from this.
        let mode = Permissions::from_mode(PUBLIC);
        let temporary = tempfile::Builder::new().prefix(".tmp-").permissions(mode).tempfile_in(parent(path));
        let temporary = temporary.with_context(|| format!("create a file beside {}", path.display()))?;
        Ok(Self { temporary, path: path.to_owned(), exists })
    }

    /// The file.
    pub(crate) fn file(&self) -> &File {
        self.temporary.as_file()
    }

    /// Makes it durable, gives it its name, and makes that durable too.
    pub(crate) fn commit(self) -> anyhow::Result<()> {
        let what = || format!("write {}", self.path.display());
        self.temporary.as_file().sync_all().with_context(what)?;
        let named = match self.exists {
            Exists::Refuse => self.temporary.persist_noclobber(&self.path),
            Exists::Replace => {
                check(&self.path, self.exists)?;
                self.temporary.persist(&self.path)
            }
        };
        named.map_err(|error| error.error).with_context(what)?;
        sync_dir(parent(&self.path))
    }
}

/// Whether a file may get this name. Never is a directory, a device or a link replaced.
pub(super) fn check(path: &Path, exists: Exists) -> anyhow::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("look at {}", path.display())),
        Ok(found) if !found.is_file() => {
            bail!("{}: expected no file or a regular file, found something else", path.display())
        }
        Ok(_) if exists == Exists::Refuse => {
            bail!("{} exists already; nothing was overwritten (--force replaces it)", path.display())
        }
        Ok(_) => Ok(()),
    }
}

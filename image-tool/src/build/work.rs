//! The cache directory: archives of root trees, and the temporary files of the build that is running.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

/// How names of temporary directories begin.
const PREFIX: &str = "build-";
/// Held by the build that is running.
const LOCK_FILE: &str = "lock";

/// The right to build, and a directory for temporary files, which goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Work {
    cache: PathBuf,
    dir: TempDir,
    _lock: File,
}

impl Work {
    /// Begins a build with the directory `cache`, made if need be. What a killed build left is removed.
    pub(crate) fn begin(cache: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(cache).with_context(|| format!("create {}", cache.display()))?;
        let path = cache.join(LOCK_FILE);
        let options = File::options().write(true).create(true).truncate(false).open(&path);
        let lock = options.with_context(|| format!("open {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("{}: another build is running in this repository", path.display())
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock {}", path.display()));
            }
        }
        remove_left(cache)
            .with_context(|| format!("remove what a killed build left in {}", cache.display()))?;
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(cache);
        let dir = dir.with_context(|| format!("create a directory in {}", cache.display()))?;
        Ok(Self { cache: cache.to_owned(), dir, _lock: lock })
    }

    /// For files that outlive the build.
    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    /// For files that do not.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

fn remove_left(cache: &Path) -> io::Result<()> {
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_build_at_a_time_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        fs::create_dir_all(cache.join("build-killed")).unwrap();
        fs::write(cache.join("build-killed/root.tar"), "half").unwrap();
        fs::write(cache.join("kept.tar"), "whole").unwrap();

        let work = Work::begin(&cache).unwrap();
        assert!(!cache.join("build-killed").exists() && cache.join("kept.tar").exists());
        fs::write(work.dir().join("root.tar"), "new").unwrap();
        let error = Work::begin(&cache).unwrap_err().to_string();
        assert!(error.ends_with("another build is running in this repository"), "{error}");
        drop(work);
        let names: Vec<_> = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}

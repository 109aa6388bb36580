//! A store as a directory. Below the directory that was named no symbolic link is followed, and only regular files are read.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// A directory of chunks.
#[derive(Debug)]
pub(crate) struct Directory {
    dir: File,
    path: PathBuf,
}

impl Directory {
    /// Opens it; the name itself may be a link.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let what = || format!("open store {}", path.display());
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from).with_context(what)?;
        Ok(Self::at(dir.into(), path))
    }

    /// One that is open already.
    pub(super) fn at(dir: File, path: &Path) -> Self {
        Self { dir, path: path.to_owned() }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file `name` in `dir`, of at most `max` bytes; none if it is not there.
    pub(super) fn read(&self, dir: &str, name: &str, max: u64) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(dir) = self.open_in(&self.dir, dir, OFlags::DIRECTORY)? else { return Ok(None) };
        // Without NONBLOCK the opening of a FIFO would wait for a writer for ever.
        let Some(file) = self.open_in(&dir, name, OFlags::NONBLOCK)? else { return Ok(None) };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            bail!("expected a regular file, found something else");
        }
        let mut bytes = Vec::with_capacity(metadata.len().min(max) as usize + 1);
        file.take(max + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max {
            bail!("expected at most {max} bytes, found more");
        }
        Ok(Some(bytes))
    }

    fn open_in(&self, dir: &File, name: &str, kind: OFlags) -> anyhow::Result<Option<File>> {
        let flags = kind | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        match rustix::fs::openat(dir, name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT) => Ok(None),
            // A link is ELOOP, or ENOTDIR where a directory is wanted.
            Err(Errno::LOOP) => bail!("expected a regular file, found a symbolic link"),
            Err(Errno::NOTDIR) => bail!("{name}: expected a directory, found a link or a file"),
            Err(error) => Err(io::Error::from(error)).with_context(|| format!("open {name}")),
        }
    }
}

/// The directory `name` in `dir`, made if it is not there, never through a symbolic link.
pub(crate) fn create_or_open(dir: &File, name: &str) -> anyhow::Result<File> {
    match rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => {
            return Err(io::Error::from(error)).with_context(|| format!("create directory {name}"));
        }
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(found) => Ok(found.into()),
        Err(Errno::NOTDIR | Errno::LOOP) => {
            bail!("{name}: expected a directory, found a symbolic link or a file")
        }
        Err(error) => Err(io::Error::from(error)).with_context(|| format!("open {name}")),
    }
}

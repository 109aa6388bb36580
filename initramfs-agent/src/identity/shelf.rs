//! A few small files, each replaced as a whole and durably.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Largest file read, in bytes.
const FILE_MAX: u64 = 16 << 10;

/// Why a file is not there or cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// What the file system says.
    #[error("{operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A key that others could read is not secret.
    #[error("{}: expected mode 0600, found {mode:04o}; somebody may have read it", path.display())]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process signs.
    #[error("{}: in use by another imgagent", .0.display())]
    InUse(PathBuf),
}

/// Where the files are.
pub trait Shelf {
    /// The content of a file; none when it is not there.
    ///
    /// # Errors
    /// [`ShelfError`].
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ShelfError>;

    /// Replaces a file; durable when it returns.
    ///
    /// # Errors
    /// [`ShelfError`]; the old content is then still there, or the new one.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ShelfError>;

    /// Removes a file; durable when it returns. One that is not there is no error.
    ///
    /// # Errors
    /// [`ShelfError`].
    fn remove(&self, name: &str) -> Result<(), ShelfError>;
}

/// A directory that only root can enter, locked for this process.
#[derive(Debug)]
pub struct Dir {
    path: PathBuf,
    _lock: File,
}

impl Dir {
    /// Opens or makes it, and takes the lock.
    ///
    /// # Errors
    /// [`ShelfError`].
    pub fn open(path: &Path) -> Result<Self, ShelfError> {
        let at = |operation| move |source| ShelfError::Io { operation, path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at("create"))?;
        let lock = path.join("lock");
        let options = OpenOptions::new().create(true).append(true).mode(0o600).open(&lock);
        let file = options.map_err(at("open the lock in"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(ShelfError::InUse(path.to_owned())),
            Err(error) => Err(at("lock")(error.into())),
        }
    }

    fn fault(&self, operation: &'static str, name: &str) -> impl FnOnce(io::Error) -> ShelfError {
        let path = self.path.join(name);
        move |source| ShelfError::Io { operation, path, source }
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// Reads a small private file; none when it is not there.
///
/// # Errors
/// [`ShelfError`], also for a file that others can read.
pub(super) fn read_private(path: &Path) -> Result<Option<Vec<u8>>, ShelfError> {
    let at = |source| ShelfError::Io { operation: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(error)),
    };
    let mode = file.metadata().map_err(at)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(ShelfError::Mode { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX).read_to_end(&mut bytes).map_err(at)?;
    Ok(Some(bytes))
}

impl Shelf for Dir {
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ShelfError> {
        read_private(&self.path.join(name))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ShelfError> {
        let growing = self.path.join(format!(".{name}.new"));
        let write = || {
            // A leftover of a cut may have any mode.
            match fs::remove_file(&growing) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&growing)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&growing, self.path.join(name))?;
            self.sync()
        };
        write().map_err(self.fault("write", name))
    }

    fn remove(&self, name: &str) -> Result<(), ShelfError> {
        match fs::remove_file(self.path.join(name)) {
            Ok(()) => self.sync().map_err(self.fault("remove", name)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.fault("remove", name)(error)),
        }
    }
}

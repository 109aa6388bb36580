//! Opening files below the data directory for delivery.
//!
//! Every component is opened relative to the directory before it and without following symbolic links, and only a regular
//! file is handed out: a link, FIFO or device that somebody put into the store is "not there". Names are checked by the
//! callers' parsers before; this is the second line.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// The data directory, opened once.
#[derive(Debug, Clone)]
pub struct Files {
    root: Arc<OwnedFd>,
}

/// A regular file that is open for reading, and its size in bytes.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub file: File,
    /// Its size when it was opened.
    pub size: u64,
}

impl Files {
    /// Opens the directory `root`.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn below(root: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self { root: Arc::new(rustix::fs::open(root, flags, Mode::empty())?) })
    }

    /// Opens `path` (relative, no `.` or `..`), or says that there is no regular file of that name.
    ///
    /// # Errors
    /// Anything but "not there".
    pub fn open(&self, path: &str) -> io::Result<Option<Opened>> {
        let Some((directory, name)) = self.directory_of(path)? else { return Ok(None) };
        // Without NONBLOCK a FIFO would hold the thread until a writer comes.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(directory.as_ref(), name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(errno) => return absent(errno),
        };
        let metadata = file.metadata()?;
        Ok(metadata.is_file().then(|| Opened { size: metadata.len(), file }))
    }

    /// Size in bytes of the regular file `path`, if there is one.
    ///
    /// # Errors
    /// Anything but "not there".
    pub fn size(&self, path: &str) -> io::Result<Option<u64>> {
        let Some((directory, name)) = self.directory_of(path)? else { return Ok(None) };
        match rustix::fs::statat(directory.as_ref(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                Ok(Some(stat.st_size.cast_unsigned()))
            }
            Ok(_) => Ok(None),
            Err(errno) => absent(errno),
        }
    }

    fn directory_of<'p>(&self, path: &'p str) -> io::Result<Option<(Arc<OwnedFd>, &'p str)>> {
        let mut directory = self.root.clone();
        let mut rest = path;
        while let Some((component, behind)) = rest.split_once('/') {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if !plain(component) {
                return Ok(None);
            }
            match rustix::fs::openat(directory.as_ref(), component, flags, Mode::empty()) {
                Ok(fd) => directory = Arc::new(fd),
                Err(errno) => return absent(errno),
            }
            rest = behind;
        }
        Ok(plain(rest).then_some((directory, rest)))
    }
}

fn plain(component: &str) -> bool {
    !matches!(component, "" | "." | "..") && !component.contains('\0')
}

/// "Not there" for everything that is not a file we would serve; an error for the rest.
fn absent<T>(errno: Errno) -> io::Result<Option<T>> {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO | Errno::NAMETOOLONG => Ok(None),
        other => Err(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_regular_files_reached_without_links() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir(root.join("a")).unwrap();
        std::fs::write(root.join("a/file"), "content").unwrap();
        symlink("file", root.join("a/link")).unwrap();
        symlink("a", root.join("b")).unwrap();
        std::fs::create_dir(root.join("a/dir")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, root.join("a/fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();

        let files = Files::below(root).unwrap();
        let opened = files.open("a/file").unwrap().unwrap();
        assert_eq!(opened.size, 7);
        assert_eq!(std::io::read_to_string(opened.file).unwrap(), "content");
        assert_eq!(files.size("a/file").unwrap(), Some(7));
        let long = format!("a/{}", "x".repeat(300));
        for path in [
            "a/link",
            "b/file",
            "a/dir",
            "a/fifo",
            "a/none",
            "none/file",
            "a/file/x",
            "",
            "/",
            "a//file",
            "a/../a/file",
            "../x",
            "./a/file",
            "a/fi\0le",
            &long,
        ] {
            assert!(files.open(path).unwrap().is_none(), "{path:?}");
            assert!(files.size(path).unwrap().is_none(), "{path:?}");
        }
    }
}

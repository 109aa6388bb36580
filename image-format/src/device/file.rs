//! A block device or a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::Advice;

use super::{Device, Hint, in_range};

/// An open block device or regular file. Its length is taken once, when it is opened.
#[derive(Debug)]
pub struct FileDevice {
    file: File,
    path: PathBuf,
    len: u64,
}

impl FileDevice {
    /// Opens `path` for reading and writing. It is never created.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_with(path, OpenOptions::new().read(true).write(true).create(false))
    }

    /// Opens `path` to look at it: writes fail.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub fn inspect(path: &Path) -> io::Result<Self> {
        Self::open_with(path, OpenOptions::new().read(true))
    }

    fn open_with(path: &Path, options: &OpenOptions) -> io::Result<Self> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("open {}: {error}", path.display()));
        let mut file = options.open(path).map_err(named)?;
        let len = file.seek(SeekFrom::End(0)).map_err(named)?;
        Ok(Self { file, path: path.to_owned(), len })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, for the system calls that a [`Device`] does not offer.
    pub fn file(&self) -> &File {
        &self.file
    }

    fn named(&self, what: &str, offset: u64, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{what} {} at {offset}: {error}", self.path.display()))
    }
}

impl Device for FileDevice {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        in_range(self.len, offset, buffer.len(), io::ErrorKind::UnexpectedEof)?;
        self.file.read_exact_at(buffer, offset).map_err(|error| self.named("read", offset, &error))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        in_range(self.len, offset, bytes.len(), io::ErrorKind::InvalidInput)?;
        self.file.write_all_at(bytes, offset).map_err(|error| self.named("write", offset, &error))
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_data().map_err(|error| self.named("flush", 0, &error))
    }

    fn hint(&self, hint: Hint, offset: u64, len: u64) {
        let advice = match hint {
            Hint::Read => Advice::WillNeed,
            // For pages that are dirty this begins to write them (mm/fadvise.c); what is clean leaves the cache.
            Hint::Written => Advice::DontNeed,
        };
        // A length of none would mean all the rest.
        if let Some(len) = NonZeroU64::new(len) {
            let _advice_may_be_ignored = rustix::fs::fadvise(&self.file, offset, Some(len), advice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_never_created_and_never_grows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        let error = FileDevice::open(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().starts_with(&format!("open {}: ", path.display())));
        File::create(&path).unwrap().set_len(1000).unwrap();
        let device = FileDevice::open(&path).unwrap();
        device.write_at(b"abc", 997).unwrap();
        device.flush().unwrap();
        assert_eq!(device.write_at(b"abc", 998).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!((device.len(), path.metadata().unwrap().len()), (1000, 1000));
        let reader = FileDevice::inspect(&path).unwrap();
        assert_eq!(reader.read_vec(997, 3).unwrap(), b"abc");
        assert!(reader.write_at(b"x", 0).is_err());
    }
}

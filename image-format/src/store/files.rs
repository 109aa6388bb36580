//! The file operations that everything durable in a store is made of. In tests each can fail, see `fault`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::StoreError;
#[cfg(test)]
use super::fault;

/// Mode of everything that is published: readable for a server that runs as another user.
const MODE: u32 = 0o644;

macro_rules! fault_point {
    ($operation:literal, $path:expr) => {
        #[cfg(test)]
        fault::point($operation, $path).map_err(|source| StoreError::io($operation, $path, source))?;
    };
}

macro_rules! done {
    ($what:expr) => {
        #[cfg(test)]
        fault::done(|| $what);
    };
}

/// Writes a new file; not yet durable.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = create_new(path)?;
    write(&mut file, path, bytes)
}

pub(crate) fn create_new(path: &Path) -> Result<File, StoreError> {
    fault_point!("create", path);
    let error = |source| StoreError::io("create", path, source);
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(error)?;
    file.set_permissions(std::fs::Permissions::from_mode(MODE)).map_err(error)?;
    done!(fault::Done::Create(path.to_owned()));
    Ok(file)
}

pub(crate) fn write(file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let error = |source| StoreError::io("write", path, source);
    #[cfg(test)]
    if let Err(failed) = fault::point("write", path) {
        // As much as a process that dies, or a disk that fills up, may leave.
        file.write_all(&bytes[..bytes.len() / 2]).map_err(error)?;
        return Err(error(failed));
    }
    file.write_all(bytes).map_err(error)?;
    done!(fault::Done::Append(path.to_owned(), bytes.to_vec()));
    Ok(())
}

/// Writes at an offset. One that has failed can be repeated.
pub(crate) fn write_at(file: &File, path: &Path, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
    let error = |source| StoreError::io("write", path, source);
    #[cfg(test)]
    if let Err(failed) = fault::point("write", path) {
        file.write_all_at(&bytes[..bytes.len() / 2], offset).map_err(error)?;
        return Err(error(failed));
    }
    file.write_all_at(bytes, offset).map_err(error)?;
    done!(fault::Done::WriteAt(path.to_owned(), offset, bytes.to_vec()));
    Ok(())
}

/// Has the system begin to write a part of a file to the disk, so that the fsync at the end has less to wait for. For dirty pages
/// Linux does just that on `POSIX_FADV_DONTNEED`; it is advice, and nothing hangs on it.
pub(crate) fn begin_write_back(file: &File, offset: u64, len: u64) {
    let _advice = rustix::fs::fadvise(file, offset, NonZeroU64::new(len), rustix::fs::Advice::DontNeed);
}

/// Has the system forget what it has read of a file, if it can, so that it is read from the disk.
pub(crate) fn forget_cached(file: &File, offset: u64, len: u64) {
    begin_write_back(file, offset, len);
}

/// Makes a file's content durable.
pub(crate) fn sync_file(path: &Path) -> Result<(), StoreError> {
    fault_point!("fsync", path);
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|source| StoreError::io("fsync", path, source))?;
    done!(fault::Done::SyncFile(path.to_owned()));
    Ok(())
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    fault_point!("fsync directory", path);
    let synced = File::open(path).and_then(|dir| dir.sync_all());
    synced.map_err(|source| StoreError::io("fsync directory", path, source))?;
    done!(fault::Done::SyncDir(path.to_owned()));
    Ok(())
}

/// Makes everything on the file system of `path` durable: one call for thousands of files.
pub(crate) fn sync_filesystem(path: &Path) -> Result<(), StoreError> {
    fault_point!("syncfs", path);
    let synced = File::open(path).and_then(|file| rustix::fs::syncfs(&file).map_err(io::Error::from));
    synced.map_err(|source| StoreError::io("syncfs", path, source))?;
    done!(fault::Done::SyncFilesystem);
    Ok(())
}

/// Puts `from` in the place of `to` in one step, whatever was there.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fault_point!("rename", to);
    std::fs::rename(from, to).map_err(|source| StoreError::io("rename", to, source))?;
    done!(fault::Done::Rename(from.to_owned(), to.to_owned()));
    Ok(())
}

/// Takes a file away.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    fault_point!("remove", path);
    std::fs::remove_file(path).map_err(|source| StoreError::io("remove", path, source))?;
    done!(fault::Done::Remove(path.to_owned()));
    Ok(())
}

/// Makes a directory; it may exist.
pub(crate) fn make_dir(path: &Path) -> Result<(), StoreError> {
    fault_point!("create directory", path);
    match std::fs::create_dir(path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(StoreError::io("create directory", path, source))
        }
        Err(_) => Ok(()),
        Ok(()) => {
            done!(fault::Done::MakeDir(path.to_owned()));
            Ok(())
        }
    }
}

/// A regular file that was opened without following a link, with its size.
pub(crate) fn open_regular(path: PathBuf) -> Result<Option<(File, u64)>, StoreError> {
    open_at(rustix::fs::CWD, &path.clone(), path)
}

/// As [`open_regular`]; the directory that the file lies in may not be a link either.
pub(crate) fn open_regular_in_directory(path: PathBuf) -> Result<Option<(File, u64)>, StoreError> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return open_regular(path) };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(dir, flags, Mode::empty()) {
        Ok(dir) => open_at(dir.as_fd(), Path::new(name), path.clone()),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(source) => Err(StoreError::io("open", dir, source.into())),
    }
}

fn open_at(dir: BorrowedFd<'_>, name: &Path, path: PathBuf) -> Result<Option<(File, u64)>, StoreError> {
    // Without O_NONBLOCK the opening of a FIFO would wait for a writer for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(StoreError::NotAFile { path, found: "a symbolic link" }),
        Err(source) => return Err(StoreError::Io { operation: "open", path, source: source.into() }),
    };
    let metadata = file.metadata().map_err(|source| StoreError::io("stat", &path, source))?;
    match metadata.is_file() {
        true => Ok(Some((file, metadata.len()))),
        false => Err(StoreError::NotAFile { path, found: kind(metadata.file_type()) }),
    }
}

/// The size of a regular file, without opening it.
pub(crate) fn regular_size(path: PathBuf) -> Result<Option<u64>, StoreError> {
    match std::fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
        Ok(metadata) => Err(StoreError::NotAFile { path, found: kind(metadata.file_type()) }),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::Io { operation: "stat", path, source }),
    }
}

/// A regular file of at most `max` bytes.
pub(crate) fn read_regular(path: &Path, max: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let Some((file, size)) = open_regular(path.to_owned())? else { return Ok(None) };
    let too_large = |found| StoreError::TooLarge { path: path.to_owned(), max, found };
    if size > max {
        return Err(too_large(size));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    // One byte more than allowed, so that a file that grows meanwhile is noticed.
    let read = file.take(max.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|source| StoreError::io("read", path, source))?;
    match bytes.len() as u64 {
        found if found > max => Err(too_large(found)),
        _ => Ok(Some(bytes)),
    }
}

fn kind(file_type: std::fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match () {
        () if file_type.is_symlink() => "a symbolic link",
        () if file_type.is_dir() => "a directory",
        () if file_type.is_fifo() => "a FIFO",
        () if file_type.is_socket() => "a socket",
        () => "a device",
    }
}

//! Files that appear whole or not at all.
//!
//! Written to a private name in the same directory, made durable, renamed; the directory is made durable last. A killed
//! write leaves at most a file whose name begins with `.tmp-`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};

/// Permission bits of a secret file.
pub(crate) const SECRET: u32 = 0o600;
/// Permission bits of every other file.
pub(crate) const PUBLIC: u32 = 0o644;

/// Replaces `path` by `bytes`. The file has `mode` from its creation on.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let name = path.file_name().with_context(|| format!("{}: not a file name", path.display()))?;
    let temporary = path.with_file_name(format!(".tmp-{}-{}", std::process::id(), name.display()));
    let written = write_new(&temporary, bytes, mode).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // The write has failed already; the leftover is harmless and its name says what it is.
        let _ = fs::remove_file(&temporary);
        return Err(error).with_context(|| format!("write {}", path.display()));
    }
    sync_dir(parent(path))
}

/// Creates `path`, which must not exist, with `bytes` and `mode`.
pub(crate) fn create(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    match write_new(path, bytes, mode) {
        Ok(()) => sync_dir(parent(path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} exists already; nothing was overwritten", path.display())
        }
        Err(error) => Err(error).with_context(|| format!("write {}", path.display())),
    }
}

/// Makes the entries of `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> anyhow::Result<()> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .with_context(|| format!("sync directory {}", dir.display()))
}

/// Reads a file of at most `max` bytes.
pub(crate) fn read_limited(path: &Path, max: u64) -> anyhow::Result<Vec<u8>> {
    use io::Read as _;
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
        io::Result::Ok(bytes)
    };
    let bytes = read().with_context(|| format!("read {}", path.display()))?;
    if bytes.len() as u64 > max {
        bail!("read {}: expected at most {max} bytes, found more", path.display());
    }
    Ok(bytes)
}

/// The directory that holds `path`.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secret_files_are_private_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        create(&path, b"one", SECRET).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = create(&path, b"two", SECRET).unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write_atomic(&path, b"three", SECRET).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn large_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        create(&path, b"12345", PUBLIC).unwrap();
        assert_eq!(read_limited(&path, 5).unwrap(), b"12345");
        assert!(read_limited(&path, 4).unwrap_err().to_string().contains("at most 4 bytes"));
    }
}

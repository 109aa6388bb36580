//! The key files: `DIR/online/<role>.pem` and `<role>-N.pem`, with their public halves as `.pub`.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use fleet_protocol::publish::{OnlineKey, OnlineKeyList};
use rustix::fs::OFlags;
use signing::key::KeyError;
use signing::online::{OnlineKeys, OnlineRole};

use crate::atomic::atomic_write;

/// Name of the directory in the data directory.
const DIRECTORY: &str = "online";
/// Longest key file read, in bytes; a key takes about 120.
const KEY_MAX: u64 = 16 << 10;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyDirError {
    /// A file or the directory cannot be read or written.
    #[error("online keys: cannot {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Others than the server can read it.
    #[error("online keys: {}: expected mode {expected:04o}, found {found:04o}; others can read it", path.display())]
    Mode {
        /// The file or directory.
        path: PathBuf,
        /// What it must be.
        expected: u32,
        /// What it is.
        found: u32,
    },
    /// Somebody else owns it.
    #[error("online keys: {}: expected owner {expected}, found {found}", path.display())]
    Owner {
        /// The file or directory.
        path: PathBuf,
        /// User id of the server.
        expected: u32,
        /// User id of the owner.
        found: u32,
    },
    /// A key that has no business here.
    #[error(
        "online keys: {}: expected only snapshot.pem and timestamp.pem (and snapshot-2.pem, … while they are rotated): a server holds no other key; move it away",
        .0.display()
    )]
    Foreign(PathBuf),
    /// Not a key.
    #[error("online keys: {}: expected a PEM file of an Ed25519 private key (PKCS#8, not encrypted)", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; nothing of its content.
        source: KeyError,
    },
    /// Only one of the two roles has a key.
    #[error("online keys: {}: expected a key for {role} too; `imgserver keys new` makes it", directory.display())]
    Half {
        /// The directory.
        directory: PathBuf,
        /// The role without a key.
        role: &'static str,
    },
    /// `keys new`, and there are keys.
    #[error("online keys: {} has keys already; `imgserver keys show` prints them, `imgserver keys new --add` makes more for a rotation", .0.display())]
    Exist(PathBuf),
}

/// The key directory of a data directory.
#[derive(Debug, Clone)]
pub struct KeyDir(PathBuf);

/// A key file by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    role: OnlineRole,
    /// 1 has no number in its name.
    number: u32,
}

impl Name {
    fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".pem")?;
        let role = OnlineRole::ALL.into_iter().find(|role| stem.starts_with(role.as_str()))?;
        let number = match stem.strip_prefix(role.as_str())? {
            "" => 1,
            rest => rest.strip_prefix('-')?.parse().ok().filter(|number| *number > 1)?,
        };
        let parsed = Self { role, number };
        // One spelling only: no leading zeros, no sign.
        (parsed.file() == name).then_some(parsed)
    }

    fn file(&self) -> String {
        let number = if self.number == 1 { String::new() } else { format!("-{}", self.number) };
        format!("{}{number}.pem", self.role.as_str())
    }
}

impl KeyDir {
    /// The key directory in `data`.
    pub fn of(data: &Path) -> Self {
        Self(data.join(DIRECTORY))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads the keys; none if there is no directory, or none in it.
    ///
    /// # Errors
    /// [`KeyDirError`], also for files that others can read, and for keys that do not belong here.
    pub fn load(&self) -> Result<Option<OnlineKeys>, KeyDirError> {
        let names = self.names()?;
        let mut keys = OnlineKeys::default();
        for name in &names {
            let path = self.0.join(name.file());
            let pem = read(&path)?;
            keys.add_pem(name.role, &pem).map_err(|source| KeyDirError::Key { path, source })?;
        }
        let lacks = OnlineRole::ALL.into_iter().find(|role| keys.public(*role).is_empty());
        match lacks {
            _ if names.is_empty() => Ok(None),
            Some(role) => Err(KeyDirError::Half { directory: self.0.clone(), role: role.as_str() }),
            None => Ok(Some(keys)),
        }
    }

    /// Makes a key for each role, or, killed before, for the one that has none. With `add`, one more for each.
    ///
    /// # Errors
    /// [`KeyDirError`]; no existing key is replaced.
    pub fn make(&self, add: bool) -> Result<OnlineKeys, KeyDirError> {
        if let Some(data) = self.0.parent() {
            // As `imgserver serve` makes it.
            DirBuilder::new().recursive(true).mode(0o755).create(data).map_err(self.fault("make"))?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(self.fault("make"))?;
        let names = self.names()?;
        let newest = |role| names.iter().filter(|name| name.role == role).map(|name| name.number).max();
        let lacking: Vec<OnlineRole> =
            OnlineRole::ALL.into_iter().filter(|role| add || newest(*role).is_none()).collect();
        if lacking.is_empty() {
            return Err(KeyDirError::Exist(self.0.clone()));
        }
        let made =
            OnlineKeys::generate().map_err(|source| KeyDirError::Key { path: self.0.clone(), source })?;
        for role in lacking {
            let path = self.0.join(Name { role, number: newest(role).unwrap_or(0) + 1 }.file());
            for pem in made.to_pems(role).map_err(|source| KeyDirError::Key { path: path.clone(), source })? {
                self.create(&path, pem.as_bytes())?;
            }
            // For `imgtool root prepare --add-key`. It can be made again from the key: nothing hangs on it.
            for public in made.public(role) {
                let path = path.with_extension("pub");
                let failed = |source| KeyDirError::File { operation: "create", path: path.clone(), source };
                let pem = public.to_pem();
                let pem = pem.map_err(|source| KeyDirError::Key { path: path.clone(), source })?;
                atomic_write(&path, pem.as_bytes(), 0o644).map_err(failed)?;
            }
        }
        self.load().map(Option::unwrap_or_default)
    }

    /// Key files, in order.
    fn names(&self) -> Result<Vec<Name>, KeyDirError> {
        let listing = match std::fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listing => listing.map_err(self.fault("read"))?,
        };
        let found = std::fs::metadata(&self.0).map_err(self.fault("look at"))?;
        check_private(&self.0, &found, 0o700)?;
        let mut names = Vec::new();
        for entry in listing {
            let entry = entry.map_err(self.fault("read"))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Half-written files of a killed `keys new` begin with a dot.
            if name.starts_with('.') || !name.to_ascii_lowercase().contains(".pem") {
                continue;
            }
            names.push(Name::parse(&name).ok_or_else(|| KeyDirError::Foreign(entry.path()))?);
        }
        names.sort();
        Ok(names)
    }

    /// Never replaces a file, and never shows half of one.
    fn create(&self, path: &Path, bytes: &[u8]) -> Result<(), KeyDirError> {
        let temporary = self.0.join(format!(".new-{}", std::process::id()));
        let _ = std::fs::remove_file(&temporary);
        let made = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::hard_link(&temporary, path)
        })();
        let _ = std::fs::remove_file(&temporary);
        let made = made.and_then(|()| File::open(&self.0)?.sync_all());
        made.map_err(|source| KeyDirError::File { operation: "create", path: path.to_owned(), source })
    }

    fn fault(&self, operation: &'static str) -> impl Fn(io::Error) -> KeyDirError {
        let path = self.0.clone();
        move |source| KeyDirError::File { operation, path: path.clone(), source }
    }
}

fn read(path: &Path) -> Result<String, KeyDirError> {
    let failed = |source| KeyDirError::File { operation: "read", path: path.to_owned(), source };
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("not a regular file")));
    }
    check_private(path, &metadata, 0o600)?;
    let mut text = String::new();
    file.take(KEY_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

fn check_private(path: &Path, metadata: &std::fs::Metadata, expected: u32) -> Result<(), KeyDirError> {
    let (path, found) = (path.to_owned(), metadata.mode() & 0o777);
    if found & 0o077 != 0 {
        return Err(KeyDirError::Mode { path, expected, found });
    }
    let (expected, found) = (rustix::process::geteuid().as_raw(), metadata.uid());
    if found != expected && found != 0 {
        return Err(KeyDirError::Owner { path, expected, found });
    }
    Ok(())
}

/// What may be told about keys.
///
/// # Errors
/// [`KeyError::Encoding`], which a valid key never gives.
pub fn public(keys: &OnlineKeys) -> Result<OnlineKeyList, KeyError> {
    let mut list = OnlineKeyList { keys: Vec::new() };
    for role in OnlineRole::ALL {
        for key in keys.public(role) {
            let (role, keyid) = (role.as_str().to_owned(), key.id().to_string());
            list.keys.push(OnlineKey { role, keyid, public_pem: key.to_pem()? });
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn ids(keys: &OnlineKeys) -> Vec<String> {
        public(keys).unwrap().keys.into_iter().map(|key| key.keyid).collect()
    }

    #[test]
    fn keys_are_made_once_private_and_one_more_for_a_rotation() {
        let data = tempfile::tempdir().unwrap();
        let dir = KeyDir::of(data.path());
        assert!(dir.load().unwrap().is_none());
        let made = dir.make(false).unwrap();
        assert_eq!(ids(&made), ids(&dir.load().unwrap().unwrap()));
        for file in ["snapshot.pem", "timestamp.pem"] {
            let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(std::fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(matches!(dir.make(false), Err(KeyDirError::Exist(_))));
        assert_eq!(ids(&dir.load().unwrap().unwrap()), ids(&made), "untouched");
        let both = dir.make(true).unwrap();
        assert_eq!(both.public(OnlineRole::Snapshot).len(), 2);
        assert!(dir.path().join("timestamp-2.pem").is_file());
        assert!(std::fs::read_to_string(dir.path().join("timestamp-2.pub")).unwrap().contains("PUBLIC KEY"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 8);
    }

    #[test]
    fn a_killed_keys_new_is_completed() {
        let data = tempfile::tempdir().unwrap();
        let dir = KeyDir::of(data.path());
        let made = dir.make(false).unwrap();
        std::fs::remove_file(dir.path().join("timestamp.pem")).unwrap();
        std::fs::write(dir.path().join(".new-1"), "half").unwrap();
        assert!(matches!(dir.load(), Err(KeyDirError::Half { role: "timestamp", .. })));
        let again = dir.make(false).unwrap();
        assert_eq!(again.public(OnlineRole::Snapshot), made.public(OnlineRole::Snapshot));
        assert_ne!(again.public(OnlineRole::Timestamp), made.public(OnlineRole::Timestamp));
    }

    #[test]
    fn what_others_can_read_or_does_not_belong_here_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let dir = KeyDir::of(data.path());
        dir.make(false).unwrap();
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let snapshot = dir.path().join("snapshot.pem");
        for mode in [0o644, 0o640, 0o604, 0o620] {
            set(&snapshot, mode);
            let error = dir.load().unwrap_err();
            assert!(
                matches!(error, KeyDirError::Mode { found, expected: 0o600, .. } if found == mode),
                "{error}"
            );
        }
        set(&snapshot, 0o400);
        dir.load().unwrap().unwrap();
        set(dir.path(), 0o755);
        assert!(matches!(dir.load(), Err(KeyDirError::Mode { expected: 0o700, found: 0o755, .. })));
        set(dir.path(), 0o700);
        for name in [
            "pins.pem",
            "releases-1.pem",
            "snapshot-1.pem",
            "snapshot-02.pem",
            "timestamps.pem",
            "root.PEM",
            "x.pem.bak",
        ] {
            std::fs::write(dir.path().join(name), "x").unwrap();
            let error = dir.load().unwrap_err();
            assert!(matches!(&error, KeyDirError::Foreign(path) if path.ends_with(name)), "{error}");
            std::fs::remove_file(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("README"), "x").unwrap();
        dir.load().unwrap().unwrap();
        let second = dir.path().join("snapshot-2.pem");
        std::os::unix::fs::symlink("snapshot.pem", &second).unwrap();
        assert!(matches!(dir.load(), Err(KeyDirError::File { operation: "read", .. })));
        std::fs::remove_file(&second).unwrap();
        std::fs::write(&second, "no key").unwrap();
        set(&second, 0o600);
        assert!(matches!(dir.load(), Err(KeyDirError::Key { path, .. }) if path == second));
    }
}

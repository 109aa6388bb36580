//! Trusted metadata as files: `root.json`, `timestamp.json`, …, each the bytes as received.
//!
//! A delegated role's name is percent-encoded, so nothing can leave the directory whatever a role is called.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use signing::TrustedFiles;
use signing::metadata::file_name;

/// A directory of trusted files.
pub(crate) struct Store(PathBuf);

impl Store {
    pub(crate) fn at(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// Everything that was kept; a directory without `root.json` was never initialised.
    pub(crate) fn load(&self) -> Result<TrustedFiles> {
        let root = self.read("root.json")?.with_context(|| format!("{}: no root.json", self.0.display()))?;
        let mut files = TrustedFiles {
            timestamp: self.read("timestamp.json")?,
            snapshot: self.read("snapshot.json")?,
            targets: self.read("targets.json")?,
            ..TrustedFiles::from_root(root)
        };
        let list = fs::read_dir(&self.0).with_context(|| format!("list {}", self.0.display()))?;
        for entry in list {
            let name = entry?.file_name();
            let Some(role) = name.to_str().and_then(|name| name.strip_suffix(".json")).and_then(decode)
            else {
                continue;
            };
            if !["root", "timestamp", "snapshot", "targets"].contains(&role.as_str())
                && let Some(bytes) = self.read(&file_name(&role, None))?
            {
                files.delegated.insert(role, bytes);
            }
        }
        Ok(files)
    }

    /// Writes what is trusted, and removes what no longer is.
    pub(crate) fn save(&self, files: &TrustedFiles) -> Result<()> {
        fs::create_dir_all(&self.0).with_context(|| format!("create {}", self.0.display()))?;
        self.put("root", Some(&files.root))?;
        self.put("timestamp", files.timestamp.as_deref())?;
        self.put("snapshot", files.snapshot.as_deref())?;
        self.put("targets", files.targets.as_deref())?;
        files.delegated.iter().try_for_each(|(role, bytes)| self.put(role, Some(bytes)))
    }

    fn put(&self, role: &str, bytes: Option<&[u8]>) -> Result<()> {
        let name = file_name(role, None);
        let path = self.0.join(&name);
        match bytes {
            Some(bytes) if self.read(&name)?.as_deref() != Some(bytes) => write(&path, bytes),
            None if path.exists() => {
                fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.0.join(name);
        match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            result => result.map(Some).with_context(|| format!("read {}", path.display())),
        }
    }
}

/// Whole or not at all: written beside its place, then renamed.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, bytes).with_context(|| format!("write {}", partial.display()))?;
    fs::rename(&partial, path).with_context(|| format!("rename to {}", path.display()))
}

/// The role of a percent-encoded file name.
fn decode(name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'%' {
            let (digits, tail) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{decode, file_name};

    #[test]
    fn names_of_roles_come_back() {
        for role in ["releases", "../x", "a/b?c#d%\u{0}é", "%"] {
            let name = file_name(role, None);
            assert_eq!(decode(name.strip_suffix(".json").unwrap()).as_deref(), Some(role), "{name}");
        }
        assert_eq!(decode("%"), None);
        assert_eq!(decode("%zz"), None);
    }
}

//! Key files: PKCS#8 PEM, readable by their owner only, each the key of one role.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;
use signing::key::KeyId;
use signing::repo::{Repository as Model, RoleName, Section};
use signing::{PublicKey, SecretKey};

use crate::fsutil::read_limited;
use crate::ui::style::strong;
use crate::ui::table::properties;

/// Longest key file read, in bytes; an Ed25519 key takes about 120.
const KEY_MAX: u64 = 16 << 10;

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyRole {
    /// Who signs for the other roles
    Root,
    /// The two delegations and the release-counter floors
    Targets,
    /// Images
    Releases,
    /// Pins and assignments
    Pins,
    /// Which metadata belongs together
    Snapshot,
    /// Which snapshot is the newest
    Timestamp,
}

impl KeyRole {
    /// All of them, from the most to the least precious.
    pub(crate) const ALL: [Self; 6] =
        [Self::Root, Self::Targets, Self::Releases, Self::Pins, Self::Snapshot, Self::Timestamp];

    /// The role in the words of the metadata.
    pub(crate) const fn role(self) -> RoleName {
        match self {
            Self::Root => RoleName::Root,
            Self::Targets => RoleName::Targets,
            Self::Releases => RoleName::Releases,
            Self::Pins => RoleName::Pins,
            Self::Snapshot => RoleName::Snapshot,
            Self::Timestamp => RoleName::Timestamp,
        }
    }
}

impl From<Section> for KeyRole {
    fn from(section: Section) -> Self {
        match section {
            Section::Targets => Self::Targets,
            Section::Releases => Self::Releases,
            Section::Pins => Self::Pins,
        }
    }
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.role().as_str())
    }
}

/// The directory of a repository's key files.
#[derive(Debug, Clone)]
pub(crate) struct KeyDir(PathBuf);

impl KeyDir {
    /// The key files in `dir`.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// The file of `role`'s key.
    pub(crate) fn path(&self, role: KeyRole) -> PathBuf {
        self.0.join(format!("{role}.pem"))
    }

    /// Loads `role`'s key and checks that the metadata names it as such.
    pub(crate) fn load(&self, role: KeyRole, model: &Model) -> anyhow::Result<SecretKey> {
        let path = self.path(role);
        if !path.exists() {
            let expected = list(signers(model, role));
            bail!(
                "no key for role {role}: expected {} with key id {expected}; bring it with `imgtool key import {role} FILE`",
                path.display()
            );
        }
        let key = load_secret(&path)?;
        check_role(model, role, &key.public(), &path)?;
        Ok(key)
    }
}

/// Reads a private key. The file must not be accessible to group or others.
pub(crate) fn load_secret(path: &Path) -> anyhow::Result<SecretKey> {
    let pem = read_pem(path)?;
    ensure!(is_private(&pem), "{}: expected a PEM private key (PKCS#8, `BEGIN PRIVATE KEY`)", path.display());
    check_mode(path)?;
    SecretKey::from_pem(&pem)
        .with_context(|| format!("{}: expected an Ed25519 key in PKCS#8 PEM", path.display()))
}

/// Reads the public half of a private or public key file.
pub(crate) fn load_public(path: &Path) -> anyhow::Result<PublicKey> {
    let pem = read_pem(path)?;
    if is_private(&pem) {
        return Ok(load_secret(path)?.public());
    }
    PublicKey::from_pem(&pem).with_context(|| format!("{}: expected an Ed25519 key in PEM", path.display()))
}

/// Checks that `found` (from `path`) is a key that the metadata trusts for `role`.
pub(crate) fn check_role(model: &Model, role: KeyRole, found: &PublicKey, path: &Path) -> anyhow::Result<()> {
    let expected = signers(model, role);
    let found = found.id();
    if expected.contains(&found) {
        return Ok(());
    }
    let belongs = KeyRole::ALL.iter().find(|other| signers(model, **other).contains(&found));
    let hint = belongs.map(|other| format!("; it is the key of role {other}")).unwrap_or_default();
    bail!(
        "{}: wrong key for role {role}: expected key id {}, found {found}{hint}",
        path.display(),
        list(expected)
    )
}

/// Ids of the keys that may sign for `role`.
pub(crate) fn signers(model: &Model, role: KeyRole) -> &[KeyId] {
    let roles = &model.root().roles;
    match role {
        KeyRole::Root => &roles.root.keyids,
        KeyRole::Targets => &roles.targets.keyids,
        KeyRole::Snapshot => &roles.snapshot.keyids,
        KeyRole::Timestamp => &roles.timestamp.keyids,
        KeyRole::Releases | KeyRole::Pins => {
            let delegations = model.section(Section::Targets).delegations.iter();
            let mut named = delegations.flat_map(|delegations| &delegations.roles);
            let named = named.find(|delegation| delegation.name == role.role().as_str());
            named.map_or(&[], |delegation| &delegation.signers.keyids)
        }
    }
}

fn list(ids: &[KeyId]) -> String {
    ids.iter().map(KeyId::as_str).collect::<Vec<_>>().join(" or ")
}

fn read_pem(path: &Path) -> anyhow::Result<String> {
    let bytes = read_limited(path, KEY_MAX)?;
    String::from_utf8(bytes)
        .ok()
        .with_context(|| format!("{}: expected a PEM file, found binary data", path.display()))
}

fn is_private(pem: &str) -> bool {
    pem.contains("PRIVATE KEY-----")
}

fn check_mode(path: &Path) -> anyhow::Result<()> {
    let metadata = fs::metadata(path).with_context(|| format!("read permissions of {}", path.display()))?;
    let mode = metadata.permissions().mode() & 0o777;
    ensure!(
        mode & 0o077 == 0,
        "{path}: private key is accessible to others: expected mode 0600, found {mode:04o}; fix it with `chmod 600 {path}`",
        path = path.display()
    );
    Ok(())
}

/// What may be told about a key.
#[derive(Debug, Serialize)]
pub(crate) struct KeyReport {
    role: Option<KeyRole>,
    file: Option<PathBuf>,
    keyid: String,
    public_pem: String,
}

impl KeyReport {
    /// The public facts of a key.
    pub(crate) fn new(
        role: Option<KeyRole>,
        file: Option<PathBuf>,
        public: &PublicKey,
    ) -> anyhow::Result<Self> {
        Ok(Self { role, file, keyid: public.id().to_string(), public_pem: public.to_pem()? })
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut pairs = vec![("key id", strong(&self.keyid))];
        pairs.extend(self.role.map(|role| ("role", role.to_string())));
        pairs.extend(self.file.as_ref().map(|file| ("file", file.display().to_string())));
        format!("{}\n{}", properties(&pairs), self.public_pem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fsutil::{PUBLIC, SECRET, create};

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_fix() {
        let dir = tempfile::tempdir().unwrap();
        let key = SecretKey::generate().unwrap();
        let open = dir.path().join("open.pem");
        create(&open, key.to_pem().unwrap().as_bytes(), PUBLIC).unwrap();
        let error = load_secret(&open).unwrap_err().to_string();
        assert!(error.contains("expected mode 0600, found 0644") && error.contains("chmod 600"), "{error}");
        assert!(load_public(&open).is_err());
        let private = dir.path().join("private.pem");
        create(&private, key.to_pem().unwrap().as_bytes(), SECRET).unwrap();
        assert_eq!(load_secret(&private).unwrap().public(), key.public());
        assert_eq!(load_public(&private).unwrap(), key.public());
    }

    #[test]
    fn other_files_are_not_keys() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.pem");
        for (text, expected) in [
            ("hello", "expected a PEM private key"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "expected an Ed25519 key"),
        ] {
            crate::fsutil::write_atomic(&file, text.as_bytes(), SECRET).unwrap();
            let error = load_secret(&file).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

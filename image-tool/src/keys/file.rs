//! Files that hold one key each.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use rustix::process::{Resource, Rlimit, setrlimit};
use signing::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use super::mode::check_mode;
use super::passphrase::Passphrases;
use super::{openssh, pkcs8, public};
use crate::fsutil::{PUBLIC, SECRET, create, read_limited};

/// Longest key file read, in bytes; an Ed25519 key takes about 120.
pub(crate) const KEY_MAX: u64 = 16 << 10;

/// Reads a private key: PKCS#8 PEM, encrypted or not, or an OpenSSH key that is not encrypted. The file must not be accessible
/// to group or others.
pub(crate) fn load_secret(path: &Path, passphrases: &Passphrases) -> anyhow::Result<SecretKey> {
    let text = read_text(path)?;
    ensure!(
        is_private(&text),
        "{}: expected a PEM private key (PKCS#8, `BEGIN PRIVATE KEY`)",
        path.display()
    );
    check_mode(path, "private key")?;
    no_core_dumps()?;
    if pkcs8::is_encrypted(&text) {
        return passphrases.open(&text, path);
    }
    if openssh::is_openssh(&text) {
        return openssh::parse(&text).with_context(|| format!("read {}", path.display()));
    }
    SecretKey::from_pem(&text)
        .with_context(|| format!("{}: expected an Ed25519 key in PKCS#8 PEM", path.display()))
}

/// Reads the public half of a private or public key file, of any format known here. For a private key it is taken from the
/// file beside it (`root.pub` for `root.pem`) where there is one, so that no passphrase is needed.
pub(crate) fn load_public(path: &Path, passphrases: &Passphrases) -> anyhow::Result<PublicKey> {
    let text = read_text(path)?;
    if !is_private(&text) {
        return public::parse(&text).with_context(|| format!("read {}", path.display()));
    }
    check_mode(path, "private key")?;
    let beside = public_path(path);
    if pkcs8::is_encrypted(&text) && beside != path && beside.is_file() {
        return load_public(&beside, passphrases);
    }
    Ok(load_secret(path, passphrases)?.public())
}

/// What a key file reveals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// No secret.
    Public,
    /// A private key as it is.
    Plain,
    /// A private key, after its passphrase.
    Encrypted,
}

/// What the key file at `path` reveals.
pub(crate) fn secrecy(path: &Path) -> anyhow::Result<Secrecy> {
    let text = read_text(path)?;
    Ok(if pkcs8::is_encrypted(&text) {
        Secrecy::Encrypted
    } else if is_private(&text) {
        Secrecy::Plain
    } else {
        Secrecy::Public
    })
}

/// Where the public half of the private key file `path` stands: `root.pub` beside `root.pem`.
pub(crate) fn public_path(path: &Path) -> PathBuf {
    path.with_extension("pub")
}

/// Writes `key` to `path` (mode 0600, encrypted if there is a passphrase) and its public half beside it. Neither may exist.
pub(crate) fn save(path: &Path, key: &SecretKey, passphrase: Option<&str>) -> anyhow::Result<()> {
    let beside = public_path(path);
    ensure!(beside != path, "{}: a private key's file name must not end with .pub", path.display());
    let pem = match passphrase {
        Some(passphrase) => pkcs8::seal(key, passphrase)?,
        None => key.to_pem()?,
    };
    ensure!(!path.exists(), "{} exists already; nothing was overwritten", path.display());
    create(&beside, key.public().to_pem()?.as_bytes(), PUBLIC)?;
    create(path, pem.as_bytes(), SECRET)
}

/// From now on a crash leaves no copy of the memory on the disk, of this process or of one that it starts.
fn no_core_dumps() -> anyhow::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).context("forbid core dumps, which would hold the private key")
}

fn read_text(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let bytes = read_limited(path, KEY_MAX)?;
    let text = String::from_utf8(bytes).ok();
    text.map(Zeroizing::new)
        .with_context(|| format!("{}: expected a PEM file, found binary data", path.display()))
}

fn is_private(text: &str) -> bool {
    text.contains("PRIVATE KEY-----")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fsutil::write_atomic;

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_fix() {
        let dir = tempfile::tempdir().unwrap();
        let none = Passphrases::default();
        let key = SecretKey::generate().unwrap();
        let open = dir.path().join("open.pem");
        create(&open, key.to_pem().unwrap().as_bytes(), PUBLIC).unwrap();
        let error = load_secret(&open, &none).unwrap_err().to_string();
        assert!(error.contains("expected mode 0600, found 0644") && error.contains("chmod 600"), "{error}");
        assert!(load_public(&open, &none).is_err());
        let private = dir.path().join("private.pem");
        save(&private, &key, None).unwrap();
        assert_eq!(load_secret(&private, &none).unwrap().public(), key.public());
        assert_eq!(load_public(&private, &none).unwrap(), key.public());
        assert_eq!(load_public(&dir.path().join("private.pub"), &none).unwrap(), key.public());
        assert_eq!(rustix::process::getrlimit(Resource::Core).current, Some(0));
    }

    #[test]
    fn other_files_are_not_keys() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.pem");
        for (text, expected) in [
            ("hello", "expected a PEM private key"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "expected an Ed25519 key"),
        ] {
            write_atomic(&file, text.as_bytes(), SECRET).unwrap();
            let error = load_secret(&file, &Passphrases::default()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("root.pem");
        save(&file, &SecretKey::generate().unwrap(), None).unwrap();
        let before = std::fs::read(&file).unwrap();
        let error = save(&file, &SecretKey::generate().unwrap(), None).unwrap_err().to_string();
        assert!(error.contains("exists already"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), before);
        assert!(save(&dir.path().join("root.pub"), &SecretKey::generate().unwrap(), None).is_err());
    }
}

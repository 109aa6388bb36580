//! Private keys as `ssh-keygen` writes them, when they are not encrypted (OpenSSH's PROTOCOL.key).

use anyhow::{Context as _, bail, ensure};
use base64ct::{Base64, Encoding as _};
use signing::SecretKey;
use zeroize::Zeroizing;

use super::wire::{ED25519, Reader};

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// Whether `text` is such a file.
pub(super) fn is_openssh(text: &str) -> bool {
    text.trim_start().starts_with(BEGIN)
}

/// Reads the Ed25519 key. Encrypted ones are left to the programs that made them.
pub(super) fn parse(text: &str) -> anyhow::Result<SecretKey> {
    let body = text.trim().strip_prefix(BEGIN).and_then(|body| body.strip_suffix(END));
    let body: Zeroizing<String> = Zeroizing::new(
        body.context("expected one OpenSSH private key")?.split_whitespace().collect::<Vec<_>>().concat(),
    );
    let bytes = Zeroizing::new(Base64::decode_vec(&body).ok().context("expected base64")?);
    let mut reader = Reader(bytes.strip_prefix(MAGIC).context("expected an OpenSSH private key, version 1")?);
    let (cipher, kdf) = (reader.string(), reader.string());
    if cipher != Some(b"none") || kdf != Some(b"none") {
        bail!(
            "the OpenSSH key is encrypted: add it to an agent (`ssh-add FILE`) and sign with kind = \"ssh-agent\", or decrypt a copy (`ssh-keygen -p -N '' -f COPY`)"
        );
    }
    unencrypted(reader).context("expected one Ed25519 key in an OpenSSH private key")?
}

/// What follows the names of cipher and derivation: its options, the number of keys, the public and the private ones.
fn unencrypted(mut reader: Reader<'_>) -> Option<anyhow::Result<SecretKey>> {
    let (_options, count, _public) = (reader.string()?, reader.number()?, reader.string()?);
    let mut private = Reader(reader.string()?);
    if count != 1 || !reader.is_empty() || private.number()? != private.number()? {
        return None;
    }
    if private.string()? != ED25519 {
        return None;
    }
    let (public, pair) = (private.string()?, private.string()?);
    let (seed, repeated) = pair.split_at_checked(32)?;
    let key = SecretKey::from_seed(seed.try_into().ok()?);
    Some(key.map_err(Into::into).and_then(|key| {
        let same = key.public().as_bytes() == public && public == repeated;
        ensure!(same, "the public key in the file does not belong to the private one");
        Ok(key)
    }))
}

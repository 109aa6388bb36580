//! Public keys of other programs: OpenSSL's SubjectPublicKeyInfo PEM, OpenSSH's `ssh-ed25519 …` line, signify's and minisign's
//! two lines.

use anyhow::{Context as _, bail};
use base64ct::{Base64, Encoding as _};
use signing::PublicKey;

use super::wire::ed25519_blob;

/// Length of what signify and minisign encode: `Ed`, eight bytes of a number that names the key, the key.
const SIGNIFY_LEN: usize = 42;

/// Reads a public key in any of the formats; an error says what was found instead.
pub(super) fn parse(text: &str) -> anyhow::Result<PublicKey> {
    let text = text.trim_start();
    let first = text.split_whitespace().next().unwrap_or_default();
    if text.starts_with("-----BEGIN PUBLIC KEY-----") {
        return PublicKey::from_pem(text).context("expected an Ed25519 key in PEM");
    }
    if text.starts_with("untrusted comment:") {
        return signify(text);
    }
    match first {
        "ssh-ed25519" => openssh(text),
        "sk-ssh-ed25519@openssh.com" => bail!(
            "expected an Ed25519 key, found a FIDO key ({first}): what it signs is wrapped and no client of TUF reads it"
        ),
        other if other.starts_with("ssh-") || other.starts_with("ecdsa-") => {
            bail!("expected an Ed25519 key, found an OpenSSH key of type {other}")
        }
        _ => bail!(
            "expected a public key: PEM (`BEGIN PUBLIC KEY`), an OpenSSH line (`ssh-ed25519 …`), or a signify or minisign file"
        ),
    }
}

/// `ssh-ed25519 BASE64 comment`, on one line.
fn openssh(text: &str) -> anyhow::Result<PublicKey> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let line = lines.next().unwrap_or_default();
    if lines.next().is_some() {
        bail!("expected one OpenSSH public key, found several lines");
    }
    let encoded = line.split_whitespace().nth(1).unwrap_or_default();
    let blob = Base64::decode_vec(encoded).ok().context("expected base64 after `ssh-ed25519`")?;
    let key = ed25519_blob(&blob).context("expected an OpenSSH Ed25519 key, found something else inside")?;
    Ok(PublicKey::from_bytes(&key)?)
}

/// A comment line, then base64.
fn signify(text: &str) -> anyhow::Result<PublicKey> {
    let encoded = text.lines().nth(1).unwrap_or_default().trim();
    let bytes = Base64::decode_vec(encoded).ok().context("expected base64 in the second line")?;
    let key = bytes.strip_prefix(b"Ed").filter(|_| bytes.len() == SIGNIFY_LEN);
    let key: Option<[u8; 32]> = key.and_then(|key| key.get(8..)).and_then(|key| key.try_into().ok());
    let key = key.context("expected a public key of signify or minisign in the second line")?;
    Ok(PublicKey::from_bytes(&key)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same key, RFC 8032 7.1 test 1, as three programs write it.
    const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
    const KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn key() -> PublicKey {
        let bytes: Vec<u8> =
            (0..64).step_by(2).map(|at| u8::from_str_radix(&KEY[at..at + 2], 16).unwrap()).collect();
        PublicKey::from_bytes(&bytes.try_into().unwrap()).unwrap()
    }

    fn openssh_line(kind: &[u8]) -> String {
        let mut blob = Vec::new();
        super::super::wire::put_string(&mut blob, kind).unwrap();
        super::super::wire::put_string(&mut blob, key().as_bytes()).unwrap();
        format!("{} {} me@host\n", String::from_utf8_lossy(kind), Base64::encode_string(&blob))
    }

    #[test]
    fn one_key_in_three_formats() {
        let signify = [b"Ed".as_slice(), &[9; 8], key().as_bytes()].concat();
        let signify = format!("untrusted comment: x\n{}\n", Base64::encode_string(&signify));
        for text in [PEM, &openssh_line(b"ssh-ed25519"), &signify] {
            assert_eq!(parse(text).unwrap(), key(), "{text}");
        }
    }

    #[test]
    fn other_keys_are_told_apart() {
        let twice = openssh_line(b"ssh-ed25519").repeat(2);
        let truncated = &openssh_line(b"ssh-ed25519")[..40];
        let renamed = openssh_line(b"ssh-ed25518").replacen("ssh-ed25518", "ssh-ed25519", 1);
        for (text, expected) in [
            ("", "expected a public key"),
            ("ssh-rsa AAAA x", "key of type ssh-rsa"),
            ("sk-ssh-ed25519@openssh.com AAAA x", "FIDO"),
            (&twice, "several lines"),
            (truncated, "expected"),
            (&renamed, "something else inside"),
            ("untrusted comment: x\nAAAA\n", "signify"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "Ed25519 key in PEM"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}

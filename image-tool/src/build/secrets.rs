//! Refuses to build an image that carries a secret: an image is public to every node, and the same on all of them.

use anyhow::{Context as _, bail};

use super::tree::{Content, Kind, Node, Tree};

/// Private keys begin within this many bytes of a file, if at all.
const LOOKED_AT: usize = 4096;
/// Larger files are no keys.
const KEY_FILE_MAX: u64 = 64 << 10;
/// Most files named in the error.
const NAMED_MAX: usize = 10;

/// How key files begin: PEM of all kinds and OpenSSH's format.
const PEM_START: &[u8] = b"-----BEGIN ";
const PEM_END: &[u8] = b"PRIVATE KEY-----";

/// Fails when `tree` has a private key, a machine id, or a cluster's key, and names the files.
pub(crate) fn refuse(tree: &Tree) -> anyhow::Result<()> {
    let mut found = Vec::new();
    for (path, node) in tree.iter() {
        if let Kind::File(content) = &node.kind
            && let Some(what) = secret(tree, path, node, content).with_context(|| format!("read /{path}"))?
        {
            found.push(format!("/{path} ({what})"));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let more = found.len().saturating_sub(NAMED_MAX);
    found.truncate(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    bail!("the root tree has secrets, which an image must not carry: {}{more}", found.join(", "));
}

fn secret(tree: &Tree, path: &str, node: &Node, content: &Content) -> anyhow::Result<Option<&'static str>> {
    let len = content.len();
    if len == 0 {
        return Ok(None);
    }
    if path == "etc/machine-id" || path == "var/lib/dbus/machine-id" {
        return Ok(Some("machine id"));
    }
    if matches!(path, "etc/pacemaker/authkey" | "etc/corosync/authkey") {
        return Ok(Some("cluster key"));
    }
    // Libraries and programs contain the words, too; a key file is small, and not executable.
    if len > KEY_FILE_MAX || node.mode & 0o111 != 0 {
        return Ok(None);
    }
    let bytes = tree.read(content)?;
    let is_key = is_private_key(&bytes[..bytes.len().min(LOOKED_AT)]);
    Ok(is_key.then_some("private key"))
}

/// Whether a line is a PEM header of a private key.
fn is_private_key(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'\n').any(|line| {
        let line = line.trim_ascii();
        line.starts_with(PEM_START) && line.ends_with(PEM_END)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new(None, 0);
        for (path, text) in files {
            tree.make_dirs(crate::build::tree::split(path).0, 0).unwrap();
            tree.insert(path, Node::new(Kind::File(Content::Bytes(text.as_bytes().into())), 0o644, 0))
                .unwrap();
        }
        tree
    }

    #[test]
    fn every_kind_of_secret_is_named() {
        let error = refuse(&tree(&[
            ("etc/machine-id", "abc\n"),
            ("etc/pacemaker/authkey", "x"),
            ("etc/ssl/private/a.key", "-----BEGIN RSA PRIVATE KEY-----\nMII\n"),
            ("etc/ssh/ssh_host_ed25519_key", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3\n"),
        ]));
        assert_eq!(
            error.unwrap_err().to_string(),
            "the root tree has secrets, which an image must not carry: /etc/machine-id (machine id), \
             /etc/pacemaker/authkey (cluster key), /etc/ssh/ssh_host_ed25519_key (private key), \
             /etc/ssl/private/a.key (private key)"
        );
    }

    #[test]
    fn certificates_and_programs_that_speak_of_keys_are_none() {
        refuse(&tree(&[
            ("etc/machine-id", ""),
            ("etc/ssl/certs/a.pem", "-----BEGIN CERTIFICATE-----\nMII\n"),
            ("usr/lib/a.py", "x = '-----BEGIN RSA PRIVATE KEY-----'\n"),
        ]))
        .unwrap();
    }
}

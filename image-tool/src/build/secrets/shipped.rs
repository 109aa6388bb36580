//! What Debian packages ship: dpkg's lists of the files in every package with their MD5 digests.
//!
//! MD5 is what dpkg records. That is enough here: a file with a shipped path and digest is no secret, unless somebody makes a
//! collision with a file of Debian's in order to publish a key of their own.

use std::collections::BTreeMap;

use anyhow::Context as _;
use md5::{Digest as _, Md5};

use super::Finding;
use crate::build::tree::{Content, Kind, Tree};

/// Directory with `PACKAGE.md5sums`.
const INFO: &str = "var/lib/dpkg/info";
/// Has the digests of configuration files.
const STATUS: &str = "var/lib/dpkg/status";
/// Largest list read, in bytes.
const LIST_MAX: u64 = 64 << 20;

/// Where the lists are. They are read when there is a question.
#[derive(Debug)]
pub(crate) struct Shipped {
    sums: Vec<Content>,
    status: Option<Content>,
}

impl Shipped {
    /// Remembers the lists in `tree`, which is as the packages made it: a recipe may remove them.
    pub(crate) fn of(tree: &Tree) -> Self {
        let content = |path: &str| match tree.get(path).map(|node| &node.kind) {
            Some(Kind::File(content)) if content.len() <= LIST_MAX => Some(content.clone()),
            _ => None,
        };
        let lists = tree.children(INFO).filter(|(name, _)| name.ends_with(".md5sums"));
        let sums = lists.filter_map(|(name, _)| content(&format!("{INFO}/{name}"))).collect();
        Self { sums, status: content(STATUS) }
    }

    /// `found` without files that are what a package ships.
    pub(super) fn without(&self, tree: &Tree, found: Vec<Finding>) -> anyhow::Result<Vec<Finding>> {
        if found.is_empty() {
            return Ok(found);
        }
        let digests = self.read(tree).context("read dpkg's lists of files")?;
        let mut left = Vec::new();
        for finding in found {
            // Lists name files as packages do, from before /bin and /lib became links into /usr.
            let path = finding.path.as_str();
            let unmerged = path.strip_prefix("usr/").unwrap_or(path);
            let listed = digests.get(path).or_else(|| digests.get(unmerged));
            let is_shipped = match listed {
                None => false,
                Some(expected) => {
                    let bytes = tree.read_file(path)?.unwrap_or_default();
                    Md5::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
                        == *expected
                }
            };
            if !is_shipped {
                left.push(finding);
            }
        }
        Ok(left)
    }

    /// Path without a leading `/` and digest of every shipped file.
    fn read(&self, tree: &Tree) -> std::io::Result<BTreeMap<String, String>> {
        let mut digests = BTreeMap::new();
        let mut add = |path: &str, digest: &str| {
            digests.insert(path.trim_start_matches('/').to_owned(), digest.to_owned());
        };
        for list in &self.sums {
            for line in String::from_utf8_lossy(&tree.read(list)?).lines() {
                if let Some((digest, path)) = line.split_once("  ") {
                    add(path, digest);
                }
            }
        }
        if let Some(status) = &self.status {
            // " /etc/path digest", perhaps with a word behind it, below "Conffiles:".
            for line in String::from_utf8_lossy(&tree.read(status)?).lines() {
                let mut words = line.strip_prefix(" /").unwrap_or_default().split(' ');
                if let (Some(path), Some(digest)) = (words.next(), words.next())
                    && digest.len() == 32
                {
                    add(path, digest);
                }
            }
        }
        Ok(digests)
    }
}

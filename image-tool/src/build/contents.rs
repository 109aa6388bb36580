//! Digests of all file contents, computed once: for the file list, and to find files that share their bytes.

use std::collections::HashMap;

use anyhow::Context as _;
use rayon::prelude::*;

use super::tree::{Content, Kind, Tree};

/// BLAKE3 digest of every regular file, by path.
#[derive(Debug)]
pub(crate) struct Contents(HashMap<String, blake3::Hash>);

impl Contents {
    /// Reads and digests every file of `tree`.
    pub(crate) fn of(tree: &Tree) -> anyhow::Result<Self> {
        let files: Vec<(&str, &Content)> = tree
            .iter()
            .filter_map(|(path, node)| match &node.kind {
                Kind::File(content) => Some((path, content)),
                _ => None,
            })
            .collect();
        let digest = |(path, content): &(&str, &Content)| {
            let bytes = tree.read(content).with_context(|| format!("read /{path} of the root tree"))?;
            anyhow::Ok(((*path).to_owned(), blake3::hash(&bytes)))
        };
        files.par_iter().map(digest).collect::<anyhow::Result<_>>().map(Self)
    }

    /// The digest of the regular file at `path`.
    pub(crate) fn digest(&self, path: &str) -> Option<blake3::Hash> {
        self.0.get(path).copied()
    }
}

//! Refuses to build an image that carries a secret: an image is public to every node, and the same on all of them.
//!
//! One pass over all files, each looked at in three ways: where it lies ([`places`]), what it says ([`content`]), and which
//! accounts it lists ([`accounts`]). Of a file out of the archive the first [`HEAD`] bytes are read; what an overlay brings
//! is in memory and looked at as a whole. A file that is exactly what a Debian package ships ([`shipped`]) is public already
//! and never a finding: examples, test keys, programs that speak of keys.
//!
//! Everything found is named in one error. The recipe may allow a file by its exact path and with a reason, which becomes a
//! part of the image's provenance.
//!
//! Not found: what is compressed, encrypted or in an archive within the root.

mod accounts;
mod allow;
mod content;
mod places;
mod shipped;

use anyhow::Context as _;
use image_format::manifest::provenance::AllowedSecret;
use rayon::prelude::*;

pub(crate) use self::shipped::Shipped;
use super::tree::{Content, Kind, Tree};
use crate::recipe::AllowSecret;

/// Bytes looked at of a file out of the archive. Keys begin at the start of their file; other secrets are in small files.
const HEAD: u64 = 64 << 10;

/// A file that must not be in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    /// Path without a leading `/`.
    path: String,
    /// What kind of secret.
    what: &'static str,
    /// What says so.
    why: String,
}

/// Fails when `tree` has secrets that `allow` does not list, and names all of them; also when an entry of `allow` is of no use.
/// Returns what was allowed.
pub(crate) fn refuse(
    tree: &Tree,
    shipped: &Shipped,
    allow: &[AllowSecret],
) -> anyhow::Result<Vec<AllowedSecret>> {
    let files: Vec<(&str, &Content)> = tree
        .iter()
        .filter_map(|(path, node)| match &node.kind {
            Kind::File(content) if content.len() > 0 => Some((path, content)),
            _ => None,
        })
        .collect();
    let look = |(path, content): &(&str, &Content)| {
        look(tree, path, content).with_context(|| format!("read /{path} of the root tree")).transpose()
    };
    let found = files.par_iter().filter_map(look).collect::<anyhow::Result<Vec<Finding>>>()?;
    let found = shipped.without(tree, found)?;
    allow::apply(&found, allow)
}

fn look(tree: &Tree, path: &str, content: &Content) -> std::io::Result<Option<Finding>> {
    let bytes = match content {
        Content::Bytes(bytes) => std::borrow::Cow::Borrowed(bytes.as_ref()),
        Content::Archive { .. } => tree.read_head(content, HEAD)?.into(),
    };
    let found = look_at(path, &bytes);
    Ok(found.map(|(what, why)| Finding { path: path.to_owned(), what, why }))
}

/// What kind of secret the file at `path` is, and what says so.
pub(crate) fn look_at(path: &str, bytes: &[u8]) -> Option<(&'static str, String)> {
    places::look(path, bytes).or_else(|| accounts::look(path, bytes)).or_else(|| content::look(bytes))
}

/// The line, from 1, that byte `offset` is in.
fn line(bytes: &[u8], offset: usize) -> usize {
    1 + bytes[..offset].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests;

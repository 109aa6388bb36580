//! What an image was made of. Part of the manifest, so it is signed with it.
//!
//! Everything here is an input that gives the same image again: a build at another time or from another mirror writes the same
//! record as long as it installs the same packages. So a mirror that moves on is named by its suite alone, and a snapshot, which
//! never changes, by its address and the digest of its signed index.

use serde::{Deserialize, Serialize};

use super::Manifest;
use crate::Sha256;
use crate::document::{Document as _, DocumentError};

/// Most archives of one image.
pub const ARCHIVES_MAX: usize = 32;
/// Most secrets that one recipe allows.
pub const ALLOWED_SECRETS_MAX: usize = 256;
/// Longest reason for one of them in bytes.
pub const REASON_MAX: usize = 300;

/// What an image was made of, besides [`Manifest::packages`] and [`Manifest::epoch`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Name and version of the program that built it: `imgtool 0.1.0`.
    pub builder: String,
    /// Digest over the recipe, all recipes that it extends, and their overlays.
    pub recipe: Sha256,
    /// The agent in initramfs and root.
    pub agent: Sha256,
    /// The trusted root in the initramfs.
    pub trusted_root: Sha256,
    /// Where the packages come from.
    pub archives: Vec<Archive>,
    /// Secrets in the root that the recipe allows, in order of path.
    pub allowed_secrets: Vec<AllowedSecret>,
}

/// A Debian archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Suite, `bookworm-security`.
    pub suite: String,
    /// Archive areas, `main`.
    pub components: Vec<String>,
    /// Its state, where the address names one; none: a mirror that moves on.
    pub snapshot: Option<Snapshot>,
}

/// An archive at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Base URL.
    pub url: String,
    /// Digest of the suite's `InRelease`, which lists the digests of all indexes, which list those of all packages.
    pub in_release: Sha256,
}

/// A file that looks like a secret and is meant to be public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedSecret {
    /// Absolute path in the root.
    pub path: String,
    /// What it was taken for.
    pub what: String,
    /// Why the recipe allows it.
    pub reason: String,
}

/// Whether `path` names one file: absolute, no empty, `.` or `..` parts, no control characters, at most 4096 bytes.
pub fn is_file_path(path: &str) -> bool {
    let part = |part: &str| !matches!(part, "" | "." | "..");
    path.len() <= 4096
        && !path.chars().any(char::is_control)
        && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part))
}

impl Provenance {
    /// The rules beyond the shape.
    pub(super) fn check(&self) -> Result<(), DocumentError> {
        Manifest::text("provenance.builder", &self.builder, 128)?;
        let field = "provenance.archives (entries)";
        Manifest::number(field, self.archives.len() as u64, 0..=ARCHIVES_MAX as u64)?;
        for archive in &self.archives {
            Manifest::text("provenance.archives.suite", &archive.suite, 128)?;
            let field = "provenance.archives.components (entries)";
            Manifest::number(field, archive.components.len() as u64, 1..=ARCHIVES_MAX as u64)?;
            for component in &archive.components {
                Manifest::text("provenance.archives.components", component, 128)?;
            }
            if let Some(snapshot) = &archive.snapshot {
                Manifest::text("provenance.archives.snapshot.url", &snapshot.url, 1024)?;
            }
        }
        let field = "provenance.allowed_secrets (entries)";
        Manifest::number(field, self.allowed_secrets.len() as u64, 0..=ALLOWED_SECRETS_MAX as u64)?;
        for allowed in &self.allowed_secrets {
            let found = format!("{:?}", allowed.path);
            let expected = "an absolute path without . and ..";
            Manifest::rule(is_file_path(&allowed.path), "provenance.allowed_secrets.path", expected, found)?;
            Manifest::text("provenance.allowed_secrets.what", &allowed.what, 200)?;
            Manifest::text("provenance.allowed_secrets.reason", &allowed.reason, REASON_MAX)?;
        }
        Ok(())
    }
}

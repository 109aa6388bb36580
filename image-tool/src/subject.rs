//! What a person means by an image on the command line: a signed image, a build, or a manifest file.

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use image_format::repository::View;
use image_format::{ImageName, Manifest, Sha256};
use serde::Serialize;

use crate::repo::Repo;
use crate::similar::hint;
use crate::stage::Built;

/// An image named on the command line.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    /// `ROLE@VERSION`: as signed, else as built.
    Image(ImageName),
    /// A manifest file.
    File(PathBuf),
}

/// How far an image has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// Not signed.
    Built,
    /// Listed by the verified metadata of the local store.
    Signed,
    /// Read from a file: nothing is known about it.
    File,
}

/// An image that was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// How far it has come.
    pub(crate) stage: Stage,
    /// SHA-256 of the manifest.
    pub(crate) digest: Sha256,
    /// The manifest.
    pub(crate) manifest: Manifest,
}

impl Subject {
    /// For clap: a path has a `/` or ends in `.json`; all else must be a valid image name.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let is_file =
            text.contains('/') || std::path::Path::new(text).extension() == Some(OsStr::new("json"));
        if is_file {
            return Ok(Self::File(text.into()));
        }
        text.parse().map(Self::Image).map_err(|error: image_format::name::NameError| error.to_string())
    }

    /// Finds it.
    pub(crate) fn find(&self, repo: &Repo, view: &View) -> anyhow::Result<Found> {
        match self {
            Self::File(path) => Ok(found(Stage::File, &Built::read(path)?)),
            Self::Image(name) => {
                if let Some((digest, manifest)) = view.images.get(name) {
                    return Ok(Found { stage: Stage::Signed, digest: *digest, manifest: manifest.clone() });
                }
                let path = repo.build_dir(name).join("manifest.json");
                if path.is_file() {
                    return Ok(found(
                        Stage::Built,
                        &Built::read(&path).with_context(|| format!("build {name}"))?,
                    ));
                }
                let builds = repo.builds()?.into_iter().map(|name| name.to_string());
                let known = view.images.keys().map(ToString::to_string).chain(builds);
                bail!("unknown image {name}{}", hint(&name.to_string(), known))
            }
        }
    }
}

fn found(stage: Stage, built: &Built) -> Found {
    Found { stage, digest: built.digest(), manifest: built.manifest().clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_names_are_told_apart() {
        assert!(matches!(Subject::parse("ha@1"), Ok(Subject::Image(_))));
        assert!(matches!(Subject::parse("./ha@1"), Ok(Subject::File(_))));
        assert!(matches!(Subject::parse("manifest.json"), Ok(Subject::File(_))));
        assert!(Subject::parse("Ha@1").unwrap_err().contains("role: expected 1 to 64"));
        assert!(Subject::parse("ha").unwrap_err().contains("ROLE@VERSION"));
    }
}

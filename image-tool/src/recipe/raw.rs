//! The recipe as it stands in the file: every level refuses unknown fields.

use std::path::Path;

use image_format::Role;
use image_format::manifest::Check;
use serde::Deserialize;
use toml::Spanned;

use super::AllowSecret;
use super::error::{Place, RecipeError};
use super::words::{ArchiveName, Class, DriverName, FilePath, Glob, Mirror, PackageName, Reason, UnitName};

/// A parsed file with its text, which later errors point into.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) text: String,
    pub(super) extends: Option<Role>,
    pub(super) content: Raw,
}

impl Source {
    /// Parses the text of `path`.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, RecipeError> {
        let content: Raw = toml::from_str(text).map_err(|error| RecipeError::Mistake {
            path: path.to_owned(),
            place: Place::of(text, error.span().map_or(0, |span| span.start)),
            message: error.message().replace('\n', " "),
        })?;
        Ok(Self { text: text.to_owned(), extends: content.extends.clone(), content })
    }

    /// The files allowed here, each with its place in `path`.
    pub(super) fn allow_secrets(&self, path: &Path) -> impl Iterator<Item = AllowSecret> {
        self.content.allow_secrets.iter().map(move |entry| AllowSecret {
            path: entry.get_ref().path.0.clone(),
            reason: entry.get_ref().reason.0.clone(),
            place: format!("{}:{}", path.display(), Place::of(&self.text, entry.span().start)),
        })
    }
}

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    /// For people.
    pub(super) description: Option<String>,
    pub(super) extends: Option<Role>,
    pub(super) class: Option<Class>,
    pub(super) epoch: Option<u32>,
    #[serde(default)]
    pub(super) packages: Vec<PackageName>,
    #[serde(default)]
    pub(super) etc_state: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) debian: Debian,
    #[serde(default)]
    pub(super) kernel: Kernel,
    #[serde(default)]
    pub(super) services: Services,
    #[serde(default)]
    pub(super) root: Root,
    #[serde(default)]
    pub(super) disk: Disk,
    #[serde(default)]
    pub(super) health: Health,
    #[serde(default, rename = "allow-secret")]
    pub(super) allow_secrets: Vec<Spanned<Allow>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Allow {
    pub(super) path: FilePath,
    pub(super) reason: Reason,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Debian {
    pub(super) suite: Option<ArchiveName>,
    pub(super) mirror: Option<Mirror>,
    pub(super) security: Option<bool>,
    pub(super) security_mirror: Option<Mirror>,
    pub(super) components: Option<Vec<ArchiveName>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kernel {
    pub(super) package: Option<PackageName>,
    #[serde(default)]
    pub(super) drivers: Vec<DriverName>,
    pub(super) cmdline: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Services {
    #[serde(default)]
    pub(super) enable: Vec<UnitName>,
    #[serde(default)]
    pub(super) disable: Vec<UnitName>,
    #[serde(default)]
    pub(super) mask: Vec<UnitName>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Root {
    #[serde(default)]
    pub(super) remove: Vec<Glob>,
    pub(super) docs: Option<bool>,
    pub(super) man: Option<bool>,
    pub(super) locales: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Disk {
    pub(super) slot_mib: Option<Spanned<u64>>,
    pub(super) state_mib: Option<Spanned<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Health {
    pub(super) attempts: Option<Spanned<u8>>,
    pub(super) deadline_s: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) checks: Vec<Spanned<Check>>,
}

//! A role's recipe, `IMAGES/ROLE/recipe.toml`: what kind of node, as data.
//!
//! A recipe is read strictly (an unknown field is an error with its line), may extend another role, and ends as one
//! [`Recipe`] in which nothing is optional. Inheritance: single values replace the inherited ones, lists are added to
//! them, a health check replaces an inherited one of the same name. Overlays apply in the same order, the base role's first.

mod error;
mod merge;
mod raw;
mod rules;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use image_format::manifest::{DiskSizes, Health};
use image_format::{Role, Sha256};

pub(crate) use self::error::RecipeError;
pub(crate) use self::words::{Glob, mirror};

/// Name of the file in a role's directory.
const RECIPE_FILE: &str = "recipe.toml";
/// Name of the directory with files that are copied over the root.
const OVERLAY_DIR: &str = "overlay";
/// A longer chain of `extends` is taken for a mistake.
const DEPTH_MAX: usize = 8;
/// Largest recipe read, in bytes.
const RECIPE_MAX: u64 = 1 << 20;

/// What a role consists of, inheritance resolved and defaults filled in.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// The role.
    pub(crate) role: Role,
    /// Machine class that the image fits.
    pub(crate) class: String,
    /// Where packages come from.
    pub(crate) debian: Debian,
    /// Packages to install, sorted, without the kernel's.
    pub(crate) packages: Vec<String>,
    /// The kernel.
    pub(crate) kernel: Kernel,
    /// Which units start.
    pub(crate) services: Services,
    /// Paths removed from the root.
    pub(crate) remove: Vec<Glob>,
    /// Which documentation stays.
    pub(crate) keep: Keep,
    /// Persistent paths below `/etc`.
    pub(crate) etc_state: Vec<String>,
    /// Disk sizes.
    pub(crate) disk: DiskSizes,
    /// The health gate.
    pub(crate) health: Health,
    /// Newest date of any file, in seconds since 1970.
    pub(crate) epoch: u64,
    /// Existing overlay directories, in the order in which they apply.
    pub(crate) overlays: Vec<PathBuf>,
    /// Files that are allowed although they look like secrets, in order of path.
    pub(crate) allow_secrets: Vec<AllowSecret>,
    /// The roles whose recipes this one is made of, the base role's first, with the digest of the file.
    pub(crate) files: Vec<(Role, Sha256)>,
}

/// A file that may be in the image although it looks like a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AllowSecret {
    /// Its absolute path.
    pub(crate) path: String,
    /// Why.
    pub(crate) reason: String,
    /// Recipe, line and column of the entry, for errors.
    pub(crate) place: String,
}

/// What is collected from the recipes of a chain beside their values.
#[derive(Debug, Default)]
struct Origin {
    overlays: Vec<PathBuf>,
    allow_secrets: BTreeMap<String, AllowSecret>,
    files: Vec<(Role, Sha256)>,
}

/// A Debian archive.
#[derive(Debug, Clone)]
pub(crate) struct Debian {
    /// Release, `bookworm`.
    pub(crate) suite: String,
    /// Base URL of the archive; also has SUITE-updates.
    pub(crate) mirror: String,
    /// Base URL of the archive with SUITE-security; none leaves its updates out.
    pub(crate) security_mirror: Option<String>,
    /// Archive areas.
    pub(crate) components: Vec<String>,
}

/// A kernel and what the initramfs needs of it.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    /// Debian package.
    pub(crate) package: String,
    /// Modules in the initramfs besides those that every node needs.
    pub(crate) drivers: Vec<String>,
    /// Kernel command line.
    pub(crate) cmdline: String,
}

/// What becomes of systemd units.
#[derive(Debug, Clone, Default)]
pub(crate) struct Services {
    /// Started as their `[Install]` section says.
    pub(crate) enable: Vec<String>,
    /// Not started by themselves.
    pub(crate) disable: Vec<String>,
    /// Never started.
    pub(crate) mask: Vec<String>,
}

/// Files that packages bring and that nodes seldom need.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Keep {
    /// `/usr/share/doc` beyond copyright files.
    pub(crate) docs: bool,
    /// `/usr/share/man`, `/usr/share/info`.
    pub(crate) man: bool,
    /// `/usr/share/locale`.
    pub(crate) locales: bool,
}

/// Loads `role` from `images` with everything that it extends.
///
/// # Errors
/// [`RecipeError`], with file, line and column where the mistake is in a file.
pub(crate) fn load(images: &Path, role: &Role) -> Result<Recipe, RecipeError> {
    let mut chain = Vec::new();
    let mut next = Some(role.clone());
    while let Some(role) = next.take() {
        if chain.iter().any(|(earlier, _, _): &(Role, _, _)| *earlier == role) || chain.len() == DEPTH_MAX {
            return Err(RecipeError::Circle { role, max: DEPTH_MAX });
        }
        let (path, raw) = read(images, &role)?;
        next = raw.extends.clone();
        chain.push((role, path, raw));
    }
    let mut origin = Origin::default();
    let mut merged = raw::Raw::default();
    for (role, path, raw) in chain.into_iter().rev() {
        rules::check(&path, &raw)?;
        let overlay = images.join(role.as_str()).join(OVERLAY_DIR);
        if overlay.is_dir() {
            origin.overlays.push(overlay);
        }
        origin.files.push((role, Sha256::of(raw.text.as_bytes())));
        let allowed = raw.allow_secrets(&path).map(|entry| (entry.path.clone(), entry));
        origin.allow_secrets.extend(allowed);
        merged = merge::merge(merged, raw.content);
    }
    merge::finish(role, merged, origin)
}

/// The recipe that `text` alone is, as if it stood at `path` and what it extends were empty.
///
/// # Errors
/// As [`load`].
pub(crate) fn parse_alone(path: &Path, text: &str, role: &Role) -> Result<Recipe, RecipeError> {
    let source = raw::Source::parse(path, text)?;
    rules::check(path, &source)?;
    let allowed = source.allow_secrets(path).map(|entry| (entry.path.clone(), entry));
    let origin = Origin { allow_secrets: allowed.collect(), ..Origin::default() };
    merge::finish(role, source.content, origin)
}

fn read(images: &Path, role: &Role) -> Result<(PathBuf, raw::Source), RecipeError> {
    let path = images.join(role.as_str()).join(RECIPE_FILE);
    let read = |source| RecipeError::Read { path: path.clone(), source };
    match fs::metadata(&path) {
        Ok(found) if found.len() > RECIPE_MAX => {
            return Err(RecipeError::TooLarge { path, found: found.len(), max: RECIPE_MAX });
        }
        Ok(_) => {}
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            let roles = roles(images);
            return Err(RecipeError::UnknownRole { role: role.clone(), images: images.to_owned(), roles });
        }
        Err(source) => return Err(read(source)),
    }
    let text = fs::read_to_string(&path).map_err(read)?;
    let source = raw::Source::parse(&path, &text)?;
    Ok((path, source))
}

/// Directories below `images` that have a recipe; what cannot be read has none.
fn roles(images: &Path) -> Vec<String> {
    let entries = fs::read_dir(images).into_iter().flatten().flatten();
    let with_recipe = entries.filter(|entry| entry.path().join(RECIPE_FILE).is_file());
    let mut roles: Vec<String> =
        with_recipe.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    roles.sort();
    roles
}

#[cfg(test)]
mod tests;

//! Why a recipe is not usable.

use std::fmt;
use std::io;
use std::path::PathBuf;

use image_format::Role;

/// A recipe that cannot be built from.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecipeError {
    /// No such role.
    #[error("role {role}: {} has no such recipe; roles there: {}", images.display(), list(roles))]
    UnknownRole {
        /// The role asked for.
        role: Role,
        /// The recipes' directory.
        images: PathBuf,
        /// Roles that exist.
        roles: Vec<String>,
    },
    /// The file cannot be read.
    #[error("read recipe {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than any recipe.
    #[error("recipe {}: expected at most {max} bytes, found {found}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The limit.
        max: u64,
    },
    /// A mistake in the file.
    #[error("{}:{place}: {message}", path.display())]
    Mistake {
        /// The file.
        path: PathBuf,
        /// Where in it.
        place: Place,
        /// What was expected and found.
        message: String,
    },
    /// `extends` never ends.
    #[error("role {role}: recipes that extend each other make a circle or are more than {max} deep")]
    Circle {
        /// The role that came up again.
        role: Role,
        /// The limit.
        max: usize,
    },
    /// Neither the recipe nor what it extends says it.
    #[error("role {role}: neither its recipe nor one that it extends has {field}")]
    Missing {
        /// The role.
        role: Role,
        /// The field.
        field: &'static str,
    },
    /// `SOURCE_DATE_EPOCH` in the environment.
    #[error("environment variable SOURCE_DATE_EPOCH: expected seconds since 1970, found {found:?}")]
    Epoch {
        /// Its value.
        found: String,
    },
}

/// A place in a text: line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    line: usize,
    column: usize,
}

impl Place {
    /// The place of byte `offset`.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

fn list(roles: &[String]) -> String {
    if roles.is_empty() { "none".to_owned() } else { roles.join(", ") }
}

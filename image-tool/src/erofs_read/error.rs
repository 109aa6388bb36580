//! Why an image cannot be read.

use std::io;

/// See the variants.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ErofsError {
    /// Not what the format allows, or what is read here.
    #[error("EROFS image: {what}: expected {expected}, found {found}")]
    Format {
        /// The part, with the path if there is one.
        what: String,
        /// What would be read.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The bytes cannot be read.
    #[error("EROFS image: read {what}")]
    Read {
        /// The part.
        what: String,
        /// Why.
        source: io::Error,
    },
}

#[allow(clippy::needless_pass_by_value, reason = "numbers and texts alike, as they come")]
impl ErofsError {
    pub(super) fn new(what: impl ToString, expected: impl ToString, found: impl ToString) -> Self {
        let found = found.to_string().chars().take(80).collect();
        Self::Format { what: what.to_string(), expected: expected.to_string(), found }
    }

    pub(super) fn read(what: impl ToString, source: io::Error) -> Self {
        Self::Read { what: what.to_string(), source }
    }

    /// The same with the file that it is about.
    pub(super) fn of(self, path: &str) -> Self {
        match self {
            Self::Format { what, expected, found } => {
                Self::Format { what: format!("/{path}: {what}"), expected, found }
            }
            Self::Read { what, source } => Self::Read { what: format!("/{path}: {what}"), source },
        }
    }
}

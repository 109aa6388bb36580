//! The one way signed documents are read and written: limit, strict JSON, shape, then the document's own rules.

use std::ops::RangeInclusive;

use serde::Serialize;
use serde::de::DeserializeOwned;
use signing::json::{self, JsonError};

/// Why bytes are not an acceptable manifest, pin or assignments file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Too large, not JSON, ambiguous JSON, or JSON of another shape.
    #[error("{what}: not an acceptable JSON document")]
    Json {
        /// Which document.
        what: &'static str,
        /// What is wrong with it.
        source: JsonError,
    },
    /// A field has a value that is not allowed.
    #[error("{what}: {field}: expected {expected}, found {found}")]
    Field {
        /// Which document.
        what: &'static str,
        /// The field, with dots between levels.
        field: String,
        /// What would be allowed.
        expected: String,
        /// What was found, cut to 80 characters.
        found: String,
    },
}

/// A signed JSON document with rules of its own.
pub(crate) trait Document: Serialize + DeserializeOwned {
    /// Name in errors.
    const WHAT: &'static str;
    /// Largest size in bytes.
    const MAX: u64;
    /// Values of `format` that are read.
    const FORMATS: RangeInclusive<u32>;

    /// The rules beyond the shape.
    fn check(&self) -> Result<(), DocumentError>;

    /// Reads and checks.
    fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let json = |source| DocumentError::Json { what: Self::WHAT, source };
        let value = json::parse(bytes, Self::MAX as usize).map_err(json)?;
        // First: a format of later has fields that are unknown here, and the format is what is wrong then.
        if let Some(format) = value.get("format").and_then(json::Value::as_u64) {
            Self::check_format(format)?;
        }
        let document: Self = json::from_value(&value).map_err(json)?;
        document.check()?;
        Ok(document)
    }

    /// Checks and writes the canonical form with control characters escaped, which [`Document::read`] reads back to an equal value.
    fn write(&self) -> Result<Vec<u8>, DocumentError> {
        self.check()?;
        let json = |source| DocumentError::Json { what: Self::WHAT, source };
        let bytes = json::to_json(self).map_err(json)?;
        if bytes.len() as u64 > Self::MAX {
            return Err(json(JsonError::TooLarge { max: Self::MAX as usize, found: bytes.len() }));
        }
        Ok(bytes)
    }

    /// Refuses a format that is not read.
    fn check_format(format: u64) -> Result<(), DocumentError> {
        let range = u64::from(*Self::FORMATS.start())..=u64::from(*Self::FORMATS.end());
        let expected = if range.start() == range.end() {
            range.start().to_string()
        } else {
            format!("{} to {}", range.start(), range.end())
        };
        Self::rule(range.contains(&format), "format", expected, format)
    }

    /// Refuses unless `ok`.
    fn rule(
        ok: bool,
        field: impl Into<String>,
        expected: impl ToString,
        found: impl ToString,
    ) -> Result<(), DocumentError> {
        if ok {
            return Ok(());
        }
        Err(DocumentError::Field {
            what: Self::WHAT,
            field: field.into(),
            expected: expected.to_string(),
            found: found.to_string().chars().take(80).collect(),
        })
    }

    /// Refuses a number outside `range`.
    fn number(field: &str, value: u64, range: RangeInclusive<u64>) -> Result<(), DocumentError> {
        let expected = format!("{} to {}", range.start(), range.end());
        Self::rule(range.contains(&value), field, expected, value)
    }

    /// Refuses text that is empty, longer than `max` bytes or has control characters.
    ///
    /// Control characters stand unescaped in canonical JSON, so a document that has them could not be read back.
    fn text(field: &str, value: &str, max: usize) -> Result<(), DocumentError> {
        let ok = (1..=max).contains(&value.len()) && !value.chars().any(char::is_control);
        Self::rule(ok, field, format!("1 to {max} bytes without control characters"), format!("{value:?}"))
    }
}

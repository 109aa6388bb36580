//! The metadata that prove a slot's image: signed lists, and the roots that say whose signature counts.
//!
//! It lies in the slot beside the manifest, so that a boot without any server can tell an image that was released from one that
//! somebody has put onto the disk.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::document::{Document, DocumentError};
use crate::record::Record;

/// The value of [`Evidence::format`] that this code reads and writes.
pub const EVIDENCE_FORMAT: u32 = 1;

/// Largest size in bytes.
pub const EVIDENCE_MAX: u64 = 6 << 20;

/// Verified files as their verbatim text. They are verified again whenever they are used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Always [`EVIDENCE_FORMAT`].
    pub format: u32,
    /// The roots behind the one in the initramfs, in order; a boot with a newer initramfs needs fewer of them.
    pub roots: Vec<String>,
    /// Top-level targets.
    pub targets: String,
    /// The delegated role that lists images.
    pub releases: String,
}

impl Evidence {
    /// What `record` holds after a refresh; `None` before the first.
    pub fn of(record: &Record) -> Option<Self> {
        let trusted = record.trusted.as_ref()?;
        Some(Self {
            format: EVIDENCE_FORMAT,
            roots: record.roots.clone(),
            targets: trusted.targets.clone()?,
            releases: trusted.delegated.get("releases")?.clone(),
        })
    }

    /// Reads it. Nothing is verified here.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        Document::read(bytes)
    }

    /// The bytes that [`Evidence::parse`] reads.
    ///
    /// # Errors
    /// [`DocumentError`]: a wrong format number, or too long.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DocumentError> {
        Document::write(self)
    }
}

impl Document for Evidence {
    const WHAT: &'static str = "evidence";
    const MAX: u64 = EVIDENCE_MAX;
    const FORMATS: RangeInclusive<u32> = EVIDENCE_FORMAT..=EVIDENCE_FORMAT;

    fn check(&self) -> Result<(), DocumentError> {
        Self::check_format(self.format.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let evidence = Evidence {
            format: 1,
            roots: vec!["{\n\"signed\": \"é\"}".to_owned()],
            targets: "t\n".to_owned(),
            releases: "r".to_owned(),
        };
        assert_eq!(Evidence::parse(&evidence.to_bytes().unwrap()).unwrap(), evidence);
        let newer = Evidence { format: 2, ..evidence };
        assert!(newer.to_bytes().is_err());
        assert!(Evidence::parse(b"{}").is_err());
    }
}

//! Why bytes are not a segment table, or not one for these images.

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// Longer than allowed, or not as long as its counts say.
    #[error("segment table: expected {expected} bytes, found {found}")]
    Length {
        /// Expected size.
        expected: String,
        /// Size found.
        found: u64,
    },
    /// Another format.
    #[error("segment table: expected a BSCLSEG1 header, found {found}")]
    Header {
        /// The first bytes, hexadecimal.
        found: String,
    },
    /// A segment that breaks a rule.
    #[error("segment {number}: expected {expected}, found {found}")]
    Segment {
        /// Number of the segment, from 0.
        number: usize,
        /// What would be allowed.
        expected: String,
        /// What was found.
        found: String,
    },
    /// Made for another image.
    #[error("segment table: expected one for {what} {expected}, found {found}")]
    Other {
        /// `base` or `target`.
        what: &'static str,
        /// The index at hand.
        expected: String,
        /// The index that it names.
        found: String,
    },
}

//! Segments: many chunks of an image in one compressed frame, which may build on bytes of another image.
//!
//! ```text
//! base image (in the other slot) ── some block ranges ──▶ prefix ─┐
//!                                         segment (an object) ────┴▶ zstd ─▶ plain bytes of some entries of the target's index
//! ```
//!
//! A [`SegmentTable`] with a base is a *patch*; one without is the *whole stream* of an image. What a segment decodes to is
//! believed entry by entry, by the plain digests of the target's signed index; its stored digest is checked before the
//! decompressor sees it. So a wrong base, a wrong table or a wrong segment costs a fetch and nothing else.

mod error;
mod frame;
mod index_patch;
mod table;

pub use self::error::PatchError;
pub use self::frame::{FrameError, WINDOW_LOG, decode_segment, encode_segment};
pub use self::index_patch::{decode_index_patch, encode_index_patch};
pub use self::table::{BlockRange, EntryRun, Segment, SegmentTable};

/// Most stored bytes of a segment: what a node holds before it may decode.
pub const SEGMENT_STORED_MAX: u32 = 16 << 20;

/// Most plain bytes of a segment.
pub const SEGMENT_PLAIN_MAX: u32 = 32 << 20;

/// Most bytes of the base that a segment may build on: a node reads them into memory.
pub const SEGMENT_BASE_MAX: u32 = 8 << 20;

/// Largest segment table in bytes.
pub const TABLE_MAX: u64 = 4 << 20;

#[cfg(test)]
mod tests;

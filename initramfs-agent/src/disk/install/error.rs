//! Why an installation failed.

use std::fmt;
use std::io;

use image_format::codec::CodecError;
use image_format::index::IndexError;
use image_format::patch::FrameError;
use image_format::proof::ProofError;
use image_format::slot_layout::LayoutError;
use image_format::verity::VerityError;

use super::source::{Refused, SourceError};
use super::ways::Way;

/// A part of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// All of it.
    Slot,
    /// The root image.
    Root,
    /// The verity tree.
    Tree,
    /// The kernel.
    Kernel,
    /// The initramfs.
    Initramfs,
    /// The proof area.
    Proof,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slot => "slot",
            Self::Root => "root image",
            Self::Tree => "verity tree",
            Self::Kernel => "kernel",
            Self::Initramfs => "initramfs",
            Self::Proof => "proof area",
        })
    }
}

/// Why an installation failed. The slot is not bootable.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The parts of the job do not belong together.
    #[error("{what}: expected {expected}, found {found}")]
    Inconsistent {
        /// What.
        what: &'static str,
        /// As the manifest says.
        expected: String,
        /// As it is.
        found: String,
    },
    /// The index does not parse.
    #[error("index of the root image")]
    Index(#[source] IndexError),
    /// The image does not fit.
    #[error("layout of the slot")]
    Layout(#[from] LayoutError),
    /// The disk failed.
    #[error("{place}: access at {offset} failed")]
    Io {
        /// Where.
        place: Place,
        /// Offset in the slot in bytes.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The server did not give it.
    #[error("fetch of {what} failed")]
    Source {
        /// What was asked for.
        what: String,
        /// Why.
        source: SourceError,
    },
    /// The server gave something that was not asked for, or not in order.
    #[error("fetch of {what}: expected {expected}, found {found}")]
    Order {
        /// `chunks` or `segments`.
        what: &'static str,
        /// What was due.
        expected: String,
        /// What came.
        found: String,
    },
    /// The server gave bytes that are not the object.
    #[error("{what}: stored bytes: expected {expected}, found {found}")]
    Stored {
        /// Which object.
        what: String,
        /// Digest or length expected.
        expected: String,
        /// Digest or length of what came.
        found: String,
    },
    /// The stored bytes are what was signed but do not decode.
    #[error("chunk {entry}: decoding")]
    Decode {
        /// Entry number.
        entry: usize,
        /// Why.
        source: CodecError,
    },
    /// The stored bytes decode to something else.
    #[error("chunk {entry}: plain bytes: expected {expected}, found {found}")]
    Plain {
        /// Entry number.
        entry: usize,
        /// Digest expected.
        expected: String,
        /// Digest of what came out.
        found: String,
    },
    /// A segment is what its table names but does not decode.
    #[error("segment {segment} of the {way}: decoding")]
    Segment {
        /// Which way.
        way: Way,
        /// Its number.
        segment: usize,
        /// Why.
        source: FrameError,
    },
    /// What a patch builds on cannot be read.
    #[error("patch: the other slot cannot be read at {offset}")]
    Base {
        /// Offset in the slot in bytes.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// Some chunks are nowhere to be had.
    #[error("{chunks} chunks are missing, and there is no way left to get them")]
    NoWay {
        /// How many.
        chunks: usize,
    },
    /// The verity tree cannot be computed.
    #[error("verity tree of the root image")]
    Verity(#[source] VerityError),
    /// The disk gives back other bytes than were written.
    #[error("read back of the {place} at {offset}: expected {expected}, found {found}")]
    ReadBack {
        /// Where.
        place: Place,
        /// Offset in the slot in bytes, of the first difference where that can be told.
        offset: u64,
        /// Expected digest.
        expected: String,
        /// Found digest.
        found: String,
    },
    /// The proof area was not written.
    #[error("proof area of the slot")]
    Proof(#[source] ProofError),
}

impl InstallError {
    /// Whether what the source gave or refused is to blame, and not the disk or the connection: another way may still lead there.
    pub fn blames_source(&self) -> bool {
        match self {
            Self::Source { source, .. } => source.is::<Refused>(),
            Self::Order { .. }
            | Self::Stored { .. }
            | Self::Decode { .. }
            | Self::Plain { .. }
            | Self::Segment { .. }
            | Self::NoWay { .. } => true,
            _ => false,
        }
    }

    pub(super) fn io(place: Place, offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { place, offset, source }
    }
}

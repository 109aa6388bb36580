//! The seam to the server.

use std::fmt;

use image_format::index::Index;
use image_format::manifest::ObjectRef;
use image_format::patch::SegmentTable;

/// Why the server did not give what was asked for.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// The receiver of bytes refuses more of them; a source passes this on, and the installer knows why.
#[derive(Debug, thiserror::Error)]
#[error("the installation stopped")]
pub struct Stopped;

/// The source answers, but does not give this, or not as it should be: another way may still lead there. Any other failure means that
/// the source cannot be reached, or that it is not known whether it can.
#[derive(Debug)]
pub struct Refused(pub SourceError);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// Takes an entry's number and its stored bytes.
pub type EntrySink<'a> = dyn FnMut(usize, &[u8]) -> Result<(), Stopped> + 'a;

/// Takes a segment's number, how many of its bytes came before, and the next ones. Offset 0 again means: once more from the
/// beginning.
pub type PieceSink<'a> = dyn FnMut(usize, u64, &[u8]) -> Result<(), Stopped> + 'a;

/// Where chunks and objects come from that no local source has.
pub trait ChunkSource {
    /// Fetches the stored bytes of the entries `wanted` (numbers into `entries`, ascending, none of them zero entries, at most
    /// [`BATCH_ENTRIES`](super::BATCH_ENTRIES)) of the index object `index`, and gives each to `sink` in that order.
    /// Retries are the source's business, but no entry may be given twice. Nothing needs to be verified here.
    ///
    /// # Errors
    /// What prevents it, and [`Stopped`] when the sink said so.
    fn fetch(
        &mut self,
        index: &ObjectRef,
        entries: &Index,
        wanted: &[usize],
        sink: &mut EntrySink<'_>,
    ) -> Result<(), SourceError>;

    /// Fetches the stored bytes of the segments `wanted` (numbers into `segments`, ascending) of the table object `table`, and gives
    /// them to `sink` in that order, in pieces of any size. Otherwise as [`ChunkSource::fetch`].
    ///
    /// # Errors
    /// As [`ChunkSource::fetch`].
    fn fetch_segments(
        &mut self,
        table: &ObjectRef,
        segments: &SegmentTable,
        wanted: &[usize],
        sink: &mut PieceSink<'_>,
    ) -> Result<(), SourceError> {
        let _asked_for_one_by_one = table;
        for number in wanted {
            let Some(segment) = segments.segments().get(*number) else { continue };
            let object = ObjectRef { id: segment.object, size: segment.stored_len.into() };
            let mut offset = 0;
            self.fetch_object(&object, &mut |piece| {
                sink(*number, offset, piece)?;
                offset += piece.len() as u64;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Fetches a whole object and gives its bytes to `sink` in order, in pieces of any size.
    ///
    /// # Errors
    /// As [`ChunkSource::fetch`].
    fn fetch_object(
        &mut self,
        object: &ObjectRef,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Stopped>,
    ) -> Result<(), SourceError>;
}

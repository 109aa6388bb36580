//! The seam to the server.

use image_format::index::Index;
use image_format::manifest::ObjectRef;

/// Why the server did not give what was asked for.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// The receiver of bytes refuses more of them; a source passes this on, and the installer knows why.
#[derive(Debug, thiserror::Error)]
#[error("the installation stopped")]
pub struct Stopped;

/// Takes an entry's number and its stored bytes.
pub type EntrySink<'a> = dyn FnMut(usize, &[u8]) -> Result<(), Stopped> + 'a;

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

//! What is done with a unit, on one thread: hashing, and compressing what no earlier image has.

use std::collections::HashMap;
use std::sync::Arc;

use image_format::chunker::Span;
use image_format::codec::{Compression, Encoder};
use image_format::index::Entry;
use image_format::{BLOCK, ChunkId, ObjectId};

use super::pipeline::Sink;
use super::segment::{Pool, Segment};

/// Chunks of earlier images: what object holds them, and its length.
pub(crate) type Known = HashMap<ChunkId, (ObjectId, u32)>;

/// A piece of the artifact.
pub(super) struct Cut {
    /// Its first block.
    pub(super) begin: u64,
    /// Its kind and length.
    pub(super) span: Span,
}

/// The pieces whose end was found in one segment. Their data lies in that one and the one before.
pub(super) struct Unit<'p> {
    /// Number of the segment.
    pub(super) number: u64,
    /// The segment before.
    pub(super) previous: Option<Arc<Segment<'p>>>,
    /// The segment.
    pub(super) current: Arc<Segment<'p>>,
    /// The pieces, in order.
    pub(super) cuts: Vec<Cut>,
}

/// A unit's entries with the stored bytes of those that are new.
pub(super) struct Done {
    /// Entries in order, and whether their stored bytes are in `stored`.
    entries: Vec<(Entry, bool)>,
    /// Stored bytes, one behind the other.
    stored: Vec<u8>,
}

impl Done {
    /// Gives out the entries in order.
    pub(super) fn each(&self, sink: &mut Sink<'_>) -> anyhow::Result<()> {
        let mut rest = self.stored.as_slice();
        self.entries.iter().try_for_each(|(entry, is_new)| {
            let (bytes, behind) = rest.split_at(if *is_new { entry.stored_len as usize } else { 0 });
            rest = behind;
            sink(entry, is_new.then_some(bytes))
        })
    }

    /// The memory.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.stored
    }
}

/// What a thread keeps from unit to unit.
pub(super) struct Worker<'p> {
    known: &'p Known,
    pool: &'p Pool,
    /// Size of the artifact in bytes.
    size: u64,
    encoder: Encoder,
    /// The plain bytes of a chunk that lies in two segments.
    joined: Vec<u8>,
}

impl<'p> Worker<'p> {
    pub(super) fn new(known: &'p Known, compression: Compression, pool: &'p Pool, size: u64) -> Self {
        Self { known, pool, size, encoder: Encoder::new(compression), joined: Vec::new() }
    }

    pub(super) fn work(&mut self, unit: Unit<'_>) -> Done {
        let mut stored = self.pool.take();
        stored.clear();
        let Unit { previous, current, cuts, .. } = unit;
        let entries = cuts.into_iter().map(|Cut { begin, span }| match span {
            // A run is never longer than an entry can say.
            Span::Zero { blocks } => (Entry::zero((blocks as u64 * BLOCK) as u32), false),
            Span::Data { blocks } => {
                let start = begin * BLOCK;
                let end = self.size.min(start + blocks as u64 * BLOCK);
                let head = previous.as_ref().map_or(&[][..], |previous| previous.part(start, end));
                self.chunk(head, current.part(start, end), &mut stored)
            }
        });
        let entries = entries.collect();
        Done { entries, stored }
    }

    /// The entry of the chunk `head` and `tail` in one. The stored bytes of one that is new are appended to `out`.
    fn chunk(&mut self, head: &[u8], tail: &[u8], out: &mut Vec<u8>) -> (Entry, bool) {
        let chunk = match (head, tail) {
            ([], plain) | (plain, []) => ChunkId::of(plain),
            (head, tail) => {
                let digest = blake3::Hasher::new().update(head).update(tail).finalize();
                ChunkId::from_bytes(*digest.as_bytes())
            }
        };
        let plain_len = (head.len() + tail.len()) as u32;
        if let Some((object, stored_len)) = self.known.get(&chunk) {
            return (Entry { chunk, object: *object, plain_len, stored_len: *stored_len }, false);
        }
        let plain = match (head, tail) {
            ([], plain) | (plain, []) => plain,
            (head, tail) => {
                self.joined.clear();
                self.joined.extend_from_slice(head);
                self.joined.extend_from_slice(tail);
                &self.joined
            }
        };
        let start = out.len();
        let stored_len = self.encoder.append(plain, out) as u32;
        let object = ObjectId::of(&out[start..]);
        (Entry { chunk, object, plain_len, stored_len }, true)
    }
}

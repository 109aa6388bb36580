//! Cuts a stream into chunks, compresses them on all processors and puts them into a batch.

use std::collections::HashMap;
use std::io::{self, Read};

use anyhow::Context as _;
use image_format::chunker::{self, Piece};
use image_format::index::{Entry, INDEX_MAX, Index, encoded_len};
use image_format::store::Batch;
use image_format::{ChunkId, ObjectId, codec};
use rayon::prelude::*;

use crate::ui::progress::Progress;

/// Pieces worked on at a time: enough for all processors, some 4 MiB of memory and 16 MiB at most.
const GROUP: usize = 64;

/// A piece with what is to be stored for it.
struct Worked {
    entry: Entry,
    /// Stored bytes, unless an equal chunk came before.
    stored: Option<Vec<u8>>,
}

/// Works through all of `reader`; new objects go into `batch`.
pub(super) fn cut(
    reader: &mut dyn Read,
    batch: &mut Batch<'_>,
    progress: &Progress,
) -> anyhow::Result<Index> {
    let mut pieces = chunker::chunks(reader);
    let mut known = HashMap::new();
    let mut entries = Vec::new();
    loop {
        let group: Vec<Piece> = pieces.by_ref().take(GROUP).collect::<io::Result<_>>()?;
        if group.is_empty() {
            return Ok(Index::new(entries)?);
        }
        let worked: Vec<Worked> = group.par_iter().map(|piece| work(piece, &known)).collect();
        for Worked { entry, stored } in worked {
            if let Some(bytes) = stored {
                batch.put_hashed(entry.object, &bytes).context("store a chunk")?;
                known.insert(entry.chunk, (entry.object, entry.stored_len));
            }
            progress.add(entry.plain_len.into());
            entries.push(entry);
        }
        // Said before hours of work are done in vain, not at the end.
        anyhow::ensure!(
            encoded_len(entries.len() as u64) <= INDEX_MAX,
            "the artifact has too many chunks: its index would exceed {INDEX_MAX} bytes"
        );
    }
}

fn work(piece: &Piece, known: &HashMap<ChunkId, (ObjectId, u32)>) -> Worked {
    match piece {
        // The chunker's runs are no longer than an entry may be.
        Piece::Zero(len) => Worked { entry: Entry::zero(*len as u32), stored: None },
        Piece::Data(plain) => {
            let chunk = ChunkId::of(plain);
            let plain_len = plain.len() as u32;
            if let Some((object, stored_len)) = known.get(&chunk) {
                let entry = Entry { chunk, object: *object, plain_len, stored_len: *stored_len };
                return Worked { entry, stored: None };
            }
            let stored = codec::encode(plain);
            let object = ObjectId::of(&stored);
            let entry = Entry { chunk, object, plain_len, stored_len: stored.len() as u32 };
            Worked { entry, stored: Some(stored) }
        }
    }
}

//! What each way costs a node that has one image and goes to another.
//!
//! The rule is the agent's: a segment is taken where it costs less than the missing chunks that it holds; chunks for the rest.

use std::collections::{HashMap, HashSet};

use image_format::ChunkId;
use image_format::index::Index;
use image_format::patch::SegmentTable;
use serde::Serialize;

/// Stored bytes of the root that go over the network, by way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Ways {
    /// Chunks only.
    pub(crate) chunks: u64,
    /// Segments of the patch, and chunks for what they do not hold; none without a patch.
    pub(crate) patch: Option<u64>,
    /// Segments of the whole stream where they pay, and chunks; none without a stream.
    pub(crate) stream: Option<u64>,
    /// The cheapest, which may be all three together.
    pub(crate) best: u64,
}

impl Ways {
    /// From the image of `a` to that of `b`.
    pub(crate) fn of(
        a: &Index,
        b: &Index,
        patch: Option<&SegmentTable>,
        stream: Option<&SegmentTable>,
    ) -> Self {
        let have: HashSet<ChunkId> = a.entries().iter().map(|entry| entry.chunk).collect();
        let missing = b.objects().filter(|entry| !have.contains(&entry.chunk));
        let missing: HashMap<ChunkId, u64> =
            missing.map(|entry| (entry.chunk, u64::from(entry.stored_len))).collect();
        let cost = |tables: [Option<&SegmentTable>; 2]| mix(b, &missing, tables.into_iter().flatten());
        let chunks = cost([None, None]);
        let by_patch = patch.map(|patch| cost([Some(patch), None]));
        let by_stream = stream.map(|stream| cost([None, Some(stream)]));
        let all = [Some(chunks), by_patch, by_stream, Some(cost([patch, stream]))];
        let best = all.into_iter().flatten().min().unwrap_or(chunks);
        Self { chunks, patch: by_patch, stream: by_stream, best }
    }
}

fn mix<'t>(
    index: &Index,
    missing: &HashMap<ChunkId, u64>,
    tables: impl Iterator<Item = &'t SegmentTable>,
) -> u64 {
    let mut open = missing.clone();
    let mut cost = 0;
    for segment in tables.flat_map(SegmentTable::segments) {
        // The table has been checked against the index by the commit that brought it; a stray number reaches nothing.
        let entries = segment.entry_numbers().filter_map(|number| index.entries().get(number));
        let reached: HashSet<ChunkId> =
            entries.map(|entry| entry.chunk).filter(|chunk| open.contains_key(chunk)).collect();
        let saved: u64 = reached.iter().filter_map(|chunk| open.get(chunk)).sum();
        if u64::from(segment.stored_len) < saved {
            cost += u64::from(segment.stored_len);
            open.retain(|chunk, _| !reached.contains(chunk));
        }
    }
    cost + open.values().sum::<u64>()
}

#[cfg(test)]
mod tests {
    use image_format::ObjectId;
    use image_format::index::Entry;
    use image_format::patch::{EntryRun, Segment};

    use super::*;

    fn index(chunks: &[u8]) -> Index {
        let entry = |byte: &u8| match byte {
            0 => Entry::zero(4096),
            byte => Entry {
                chunk: ChunkId::of(&[*byte]),
                object: ObjectId::of(&[*byte]),
                plain_len: 4096,
                stored_len: 1000,
            },
        };
        Index::new(chunks.iter().map(entry).collect()).unwrap()
    }

    fn table(segments: &[(u32, u32, u32)]) -> SegmentTable {
        let segment = |&(stored_len, first, count): &(u32, u32, u32)| Segment {
            object: ObjectId::of(&stored_len.to_le_bytes()),
            stored_len,
            plain_len: count * 4096,
            base: Vec::new(),
            entries: vec![EntryRun { first, count }],
        };
        let id = ObjectId::of(b"index");
        SegmentTable::new(None, id, segments.iter().map(segment).collect()).unwrap()
    }

    #[test]
    fn each_way_has_its_price() {
        let (a, b) = (index(&[1, 0, 2]), index(&[1, 3, 4, 0, 5, 3, 2]));
        let ways = Ways::of(&a, &b, None, None);
        assert_eq!(ways, Ways { chunks: 3000, patch: None, stream: None, best: 3000 });
        // 3 and 4 for 500; the one for 5 does not pay.
        let patch = table(&[(500, 1, 2), (1000, 4, 1)]);
        // 1 and 3 together, 4, then all the rest.
        let stream = table(&[(900, 0, 2), (400, 2, 1), (100, 4, 3)]);
        let ways = Ways::of(&a, &b, Some(&patch), Some(&stream));
        assert_eq!(ways.patch, Some(1500));
        assert_eq!(ways.stream, Some(900 + 400 + 100));
        assert_eq!(ways.best, 600);
    }
}

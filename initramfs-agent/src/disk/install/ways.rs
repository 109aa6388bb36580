//! What each way to the missing chunks costs, and which is taken.

use std::fmt;

use image_format::index::Index;
use image_format::manifest::ObjectRef;
use image_format::patch::SegmentTable;

use super::missing::Missing;

/// A table of segments, and the object that it is: segments are asked for by it.
#[derive(Debug)]
pub struct Table {
    /// The object.
    pub object: ObjectRef,
    /// Its content.
    pub segments: SegmentTable,
}

/// Ways that may cost less than chunks. They are believed only by what comes out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ways<'a> {
    /// From the image of a seed.
    pub patch: Option<&'a Table>,
    /// From nothing.
    pub stream: Option<&'a Table>,
}

/// Where missing chunks come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Segments that build on a seed.
    Patch,
    /// The chunks themselves.
    Chunks,
    /// Segments that build on nothing.
    Stream,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Patch, Self::Chunks, Self::Stream];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Patch => "patch",
            Self::Chunks => "chunks",
            Self::Stream => "stream",
        })
    }
}

/// What is predicted before anything is fetched. Bytes are stored ones, as they travel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plan {
    /// Plain bytes of the root that need not be fetched.
    pub here: u64,
    /// Plain bytes of the root.
    pub total: u64,
    /// What each way would cost, where it can be gone; chunks where a segment costs more or there is none.
    pub cost: [Option<u64>; 3],
    /// What is taken of each way.
    pub taken: [u64; 3],
}

impl Plan {
    /// Predicted bytes of the ways that are taken.
    pub fn bytes(&self) -> u64 {
        self.taken.iter().sum()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (here, total) = (self.here >> 20, self.total >> 20);
        if self.taken == [0; 3] {
            return write!(f, "{here} of {total} MiB are here: nothing to fetch");
        }
        write!(f, "{here} of {total} MiB are here; the rest costs")?;
        let mut comma = "";
        for (way, cost) in Way::ALL.iter().zip(self.cost) {
            match cost {
                Some(cost) => write!(f, "{comma} {:.1} MB by {way}", cost as f64 / 1e6)?,
                None => write!(f, "{comma} no {way}")?,
            }
            comma = ",";
        }
        f.write_str("; taking")?;
        let mut plus = "";
        for (way, bytes) in Way::ALL.iter().zip(self.taken).filter(|(_, bytes)| *bytes > 0) {
            write!(f, "{plus} {way} {:.1} MB", bytes as f64 / 1e6)?;
            plus = " +";
        }
        Ok(())
    }
}

/// What is fetched by which way.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// Segments of the patch.
    patch: Vec<usize>,
    /// Segments of the stream.
    stream: Vec<usize>,
    /// Entries, as chunks.
    chunks: Vec<usize>,
    bytes: [u64; 3],
}

impl Choice {
    fn total(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// Numbers of what is fetched by `way`: segments, or entries.
    pub(super) fn of(&self, way: Way) -> &[usize] {
        match way {
            Way::Patch => &self.patch,
            Way::Chunks => &self.chunks,
            Way::Stream => &self.stream,
        }
    }
}

/// The cheapest way for each missing chunk, and what all of them would have cost. `ways` are those that have not failed; none as the
/// choice where they do not reach everything.
pub(super) fn choose(
    index: &Index,
    missing: &Missing,
    ways: Ways<'_>,
    chunks: bool,
) -> (Option<Choice>, Plan) {
    let only = |patch: Option<&Table>, stream: Option<&Table>| mix(index, missing, patch, stream, chunks);
    let by_chunks = only(None, None).filter(|_| chunks);
    let by_patch = ways.patch.and_then(|patch| only(Some(patch), None));
    let by_stream = ways.stream.and_then(|stream| only(None, Some(stream)));
    let by_both = ways.patch.zip(ways.stream).and_then(|(patch, stream)| only(Some(patch), Some(stream)));
    let cost = [&by_patch, &by_chunks, &by_stream].map(|choice| choice.as_ref().map(Choice::total));
    // Where they cost the same, the earlier one: chunks are fetched and taken up one by one.
    let best = [by_chunks, by_patch, by_stream, by_both].into_iter().flatten().min_by_key(Choice::total);
    let gone: u64 = missing
        .numbers()
        .map(|number| u64::from(index.entries()[number].plain_len) * missing.places(number).count() as u64)
        .sum();
    let taken = best.as_ref().map_or([0; 3], |choice| choice.bytes);
    let total = index.plain_size();
    (best, Plan { here: total.saturating_sub(gone), total, cost, taken })
}

/// Segments where they cost less than their missing chunks, chunks for the rest. None where chunks are needed and not to be had.
fn mix(
    index: &Index,
    missing: &Missing,
    patch: Option<&Table>,
    stream: Option<&Table>,
    chunks: bool,
) -> Option<Choice> {
    let mut choice = Choice::default();
    let mut covered = vec![false; index.entries().len()];
    for (way, table) in [(Way::Patch, patch), (Way::Stream, stream)] {
        let Some(table) = table else { continue };
        for (number, segment) in table.segments.segments().iter().enumerate() {
            let mut reached: Vec<usize> = segment
                .entry_numbers()
                .filter_map(|entry| missing.open(entry))
                .filter(|entry| !covered[*entry])
                .collect();
            reached.sort_unstable();
            reached.dedup();
            let saved: u64 = reached.iter().map(|entry| u64::from(index.entries()[*entry].stored_len)).sum();
            let cost = u64::from(segment.stored_len);
            if reached.is_empty() || (chunks && cost >= saved) {
                continue;
            }
            reached.into_iter().for_each(|entry| covered[entry] = true);
            choice.bytes[way as usize] += cost;
            if way == Way::Patch { choice.patch.push(number) } else { choice.stream.push(number) }
        }
    }
    choice.chunks = missing.numbers().filter(|number| !covered[*number]).collect();
    let stored = |number: &usize| u64::from(index.entries()[*number].stored_len);
    choice.bytes[Way::Chunks as usize] = choice.chunks.iter().map(stored).sum();
    (chunks || choice.chunks.is_empty()).then_some(choice)
}

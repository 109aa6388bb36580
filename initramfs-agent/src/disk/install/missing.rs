//! What no local source has.

use std::collections::HashMap;

use image_format::index::Index;

/// Stands for "not missing" in place of an entry's number.
const NOT: u32 = u32::MAX;

/// The missing chunks: each once, however often the image has it.
pub(super) struct Missing {
    /// For each entry the first missing one with the same chunk.
    first: Vec<u32>,
    /// Where the image has each of the first ones, by its number, ascending.
    places: Vec<(u32, u64)>,
    /// Those that are still missing, by entry number.
    open: Vec<bool>,
    left: usize,
}

impl Missing {
    /// `numbers` ascend.
    pub(super) fn new(index: &Index, numbers: &[usize]) -> Self {
        let count = index.entries().len();
        let (mut first, mut open, mut left) = (vec![NOT; count], vec![false; count], 0);
        let mut seen = HashMap::with_capacity(numbers.len());
        let mut places = Vec::with_capacity(numbers.len());
        let mut wanted = numbers.iter().copied().peekable();
        for (number, (offset, entry)) in index.iter_at().enumerate() {
            if wanted.next_if_eq(&number).is_none() {
                continue;
            }
            // An index has fewer than 2^32 entries.
            let own = number as u32;
            let one = *seen.entry((entry.chunk, entry.plain_len)).or_insert(own);
            if one == own {
                open[number] = true;
                left += 1;
            }
            first[number] = one;
            places.push((one, offset));
        }
        places.sort_unstable();
        Self { first, places, open, left }
    }

    /// Whether nothing is missing any more.
    pub(super) fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Numbers of the entries to fetch, each chunk once.
    pub(super) fn numbers(&self) -> impl Iterator<Item = usize> {
        self.open.iter().enumerate().filter_map(|(number, open)| open.then_some(number))
    }

    /// The entry that stands for the chunk of entry `number`, while it is missing.
    pub(super) fn open(&self, number: usize) -> Option<usize> {
        let first = *self.first.get(number)?;
        let open = self.open.get(first as usize).copied().unwrap_or(false);
        open.then_some(first as usize)
    }

    /// The chunk of entry `number` is there.
    pub(super) fn close(&mut self, number: usize) {
        if let Some(first) = self.open(number) {
            self.open[first] = false;
            self.left -= 1;
        }
    }

    /// All offsets of the chunk of entry `number`, ascending; none where it was not missing.
    pub(super) fn places(&self, number: usize) -> impl Iterator<Item = u64> {
        let first = self.first.get(number).copied().unwrap_or(NOT);
        let start = self.places.partition_point(|(one, _)| *one < first);
        self.places[start..].iter().take_while(move |(one, _)| *one == first).map(|(_, offset)| *offset)
    }
}

#[cfg(test)]
mod tests {
    use image_format::index::Entry;
    use image_format::{ChunkId, ObjectId};

    use super::*;

    #[test]
    fn a_chunk_is_missing_once_and_has_all_its_places() {
        let entry = |n: u8| Entry {
            chunk: ChunkId::of(&[n]),
            object: ObjectId::of(&[n]),
            plain_len: 4096,
            stored_len: 10,
        };
        let index = Index::new([1, 2, 1, 3, 2, 1].map(entry).to_vec()).unwrap();
        // The first 1 is there.
        let mut missing = Missing::new(&index, &[1, 2, 4, 5]);
        assert_eq!(missing.numbers().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(missing.places(5).collect::<Vec<_>>(), [2 * 4096, 5 * 4096]);
        assert_eq!(
            (missing.open(4), missing.open(3), missing.open(0), missing.open(9)),
            (Some(1), None, None, None)
        );
        missing.close(4);
        missing.close(4);
        missing.close(0);
        assert_eq!((missing.numbers().collect::<Vec<_>>(), missing.is_empty()), (vec![2], false));
        missing.close(5);
        assert!(missing.is_empty());
    }
}

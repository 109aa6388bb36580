//! A set of blocks as ranges.

use image_format::patch::BlockRange;

/// Ranges in order that neither overlap nor touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<BlockRange>);

impl Ranges {
    /// How many blocks there are.
    pub(super) fn blocks(&self) -> u64 {
        self.0.iter().map(|range| u64::from(range.count)).sum()
    }

    /// Adds the blocks of `range`.
    pub(super) fn add(&mut self, range: BlockRange) {
        if range.count == 0 {
            return;
        }
        let (mut first, mut end) = (range.first, range.first + range.count);
        // Those that overlap or touch become one.
        let from = self.0.partition_point(|known| known.first + known.count < first);
        let to = self.0.partition_point(|known| known.first <= end);
        for known in &self.0[from..to] {
            first = first.min(known.first);
            end = end.max(known.first + known.count);
        }
        self.0.splice(from..to, [BlockRange { first, count: end - first }]);
    }

    /// The ranges.
    pub(super) fn into_vec(self) -> Vec<BlockRange> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(adds in prop::collection::vec((0..60u32, 0..9u32), 0..20)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (first, count) in adds {
                ranges.add(BlockRange { first, count });
                set.extend(first..first + count);
                prop_assert_eq!(ranges.blocks(), set.len() as u64);
            }
            let ranges = ranges.into_vec();
            let blocks: Vec<u32> = ranges.iter().flat_map(|range| range.first..range.first + range.count).collect();
            prop_assert_eq!(blocks, set.into_iter().collect::<Vec<_>>());
            prop_assert!(ranges.windows(2).all(|pair| pair[0].first + pair[0].count < pair[1].first));
        }
    }
}

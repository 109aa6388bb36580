//! The ranges of a batch: `a-b` or `a`, comma separated, ascending, not overlapping; numbers of index entries or segments.

use std::ops::RangeInclusive;

/// Most entries in one batch: a bound on the files that one request opens.
pub const BATCH_ENTRIES_MAX: u32 = 4096;
/// Most stored bytes in one batch.
pub const BATCH_BYTES_MAX: u64 = 64 << 20;

/// Why ranges are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangesError {
    /// Not a number, or not in its one spelling (no sign, no leading zero).
    #[error("expected entry numbers like 3 or 5-9, found {0:?}")]
    Syntax(String),
    /// Out of order, or overlapping.
    #[error("ranges must ascend without overlap; {0} does not")]
    Order(u32),
    /// Beyond the list.
    #[error("entry {entry} is beyond the list's {count} entries")]
    Beyond {
        /// The entry.
        entry: u32,
        /// Entries in the list.
        count: u32,
    },
    /// Beyond [`BATCH_ENTRIES_MAX`].
    #[error("more than {BATCH_ENTRIES_MAX} entries")]
    TooMany,
}

/// Parses `text` against a list of `count` entries.
///
/// # Errors
/// [`RangesError`].
pub fn parse(text: &str, count: u32) -> Result<Vec<RangeInclusive<u32>>, RangesError> {
    let mut ranges = Vec::new();
    let mut next = 0;
    let mut entries = 0_u32;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first, part)?, number(last, part)?);
        if first < next || last < first {
            return Err(RangesError::Order(first));
        }
        if last >= count {
            return Err(RangesError::Beyond { entry: last, count });
        }
        entries = entries.saturating_add(last - first).saturating_add(1);
        if entries > BATCH_ENTRIES_MAX {
            return Err(RangesError::TooMany);
        }
        ranges.push(first..=last);
        next = last + 1;
    }
    Ok(ranges)
}

fn number(digits: &str, part: &str) -> Result<u32, RangesError> {
    let plain =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    let number = if plain { digits.parse().ok() } else { None };
    number.ok_or_else(|| RangesError::Syntax(part.chars().take(40).collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_or_refused_by_name() {
        assert_eq!(parse("0-3,5,7-8", 9), Ok(vec![0..=3, 5..=5, 7..=8]));
        assert_eq!(parse("0", 1), Ok(vec![0..=0]));
        for text in ["", ",", "0,", "a", "-1", "1-", "+1", "01", "1-2-3", " 1", "4294967296", "1;2", "0x1"] {
            assert_eq!(
                parse(text, 9),
                Err(RangesError::Syntax(text.split(',').next_back().unwrap().into())),
                "{text}"
            );
        }
        assert_eq!(parse("3-2", 9), Err(RangesError::Order(3)));
        assert_eq!(parse("3,3", 9), Err(RangesError::Order(3)));
        assert_eq!(parse("0-5,5", 9), Err(RangesError::Order(5)));
        assert_eq!(parse("9", 9), Err(RangesError::Beyond { entry: 9, count: 9 }));
        assert_eq!(parse("0", 0), Err(RangesError::Beyond { entry: 0, count: 0 }));
        assert_eq!(parse("4294967295", 9), Err(RangesError::Beyond { entry: u32::MAX, count: 9 }));
        assert!(parse("0-4095", 10_000).is_ok());
        assert_eq!(parse("0-4096", 10_000), Err(RangesError::TooMany));
        assert_eq!(parse("0-4094,5000-5001", 10_000), Err(RangesError::TooMany));
    }

    proptest! {
        #[test]
        fn what_passes_is_ascending_and_within(text in "[0-9,-]{0,30}", count in 0..200_u32) {
            if let Ok(ranges) = parse(&text, count) {
                let entries: Vec<u32> = ranges.into_iter().flatten().collect();
                prop_assert!(entries.windows(2).all(|pair| pair[0] < pair[1]));
                prop_assert!(entries.last().is_some_and(|last| *last < count));
            }
        }
    }
}

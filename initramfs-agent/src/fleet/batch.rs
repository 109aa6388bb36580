//! Answers to `/batch/<list>/<numbers>`: stored objects, one behind the other, cut where they meet.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use crate::disk::install::{EntrySink, PieceSink, Stopped};

fn flow(result: &Result<(), Stopped>) -> ControlFlow<()> {
    if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// Cuts a body into the objects that were asked for.
pub(super) struct Splitter<'a> {
    wanted: &'a [usize],
    /// How many of them came as a whole.
    pub(super) done: usize,
    /// Bytes of the next one that came.
    offset: u64,
}

impl<'a> Splitter<'a> {
    /// For the objects of these numbers.
    pub(super) fn new(wanted: &'a [usize]) -> Self {
        Self { wanted, done: 0, offset: 0 }
    }

    /// Passes on the next bytes of the body, object by object. An object of no bytes is passed on as such.
    pub(super) fn take(
        &mut self,
        mut bytes: &[u8],
        stored_len: &dyn Fn(usize) -> u64,
        sink: &mut PieceSink<'_>,
    ) -> ControlFlow<()> {
        while let Some(number) = self.wanted.get(self.done).copied() {
            let missing = stored_len(number).saturating_sub(self.offset);
            let count = usize::try_from(missing).unwrap_or(usize::MAX).min(bytes.len());
            if count == 0 && missing > 0 {
                break;
            }
            let (now, later) = bytes.split_at(count);
            flow(&sink(number, self.offset, now))?;
            bytes = later;
            if count as u64 == missing {
                self.done += 1;
                self.offset = 0;
            } else {
                self.offset += count as u64;
            }
        }
        ControlFlow::Continue(())
    }
}

/// Puts pieces together to whole objects, for those that are small.
pub(super) struct Whole<'a, 'b> {
    bytes: Vec<u8>,
    stored_len: &'a dyn Fn(usize) -> u64,
    sink: &'a mut EntrySink<'b>,
}

impl<'a, 'b> Whole<'a, 'b> {
    pub(super) fn new(stored_len: &'a dyn Fn(usize) -> u64, sink: &'a mut EntrySink<'b>) -> Self {
        Self { bytes: Vec::new(), stored_len, sink }
    }

    /// As a [`PieceSink`].
    pub(super) fn take(&mut self, number: usize, offset: u64, piece: &[u8]) -> Result<(), Stopped> {
        let length = (self.stored_len)(number);
        if offset == 0 {
            self.bytes.clear();
            // An object that lies in the piece as a whole is passed on without a copy.
            if piece.len() as u64 == length {
                return (self.sink)(number, piece);
            }
        }
        self.bytes.extend_from_slice(piece);
        if self.bytes.len() as u64 == length { (self.sink)(number, &self.bytes) } else { Ok(()) }
    }
}

/// `3-5,9`: ascending numbers as the batch URL has them.
pub(super) fn ranges(numbers: &[usize]) -> String {
    let mut text = String::new();
    let mut rest = numbers;
    while let Some(first) = rest.first().copied() {
        let run = rest.iter().zip(first..).take_while(|(number, expected)| *number == expected).count();
        let last = first + run - 1;
        let comma = if text.is_empty() { "" } else { "," };
        let written =
            if run == 1 { write!(text, "{comma}{first}") } else { write!(text, "{comma}{first}-{last}") };
        written.expect("writing to a string cannot fail");
        rest = &rest[run..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_ranges() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[7]), "7");
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
    }

    #[test]
    fn a_body_is_cut_into_objects_wherever_it_is_split() {
        let lengths = [3_u64, 1, 4];
        let stored_len = |number: usize| lengths[number];
        let body = b"aaabcccc";
        for first in 0..=body.len() {
            let mut seen = Vec::new();
            let mut sink = |number: usize, bytes: &[u8]| {
                seen.push((number, bytes.to_vec()));
                Ok(())
            };
            let mut whole = Whole::new(&stored_len, &mut sink);
            let mut split = Splitter::new(&[0, 1, 2]);
            for part in [&body[..first], &body[first..]] {
                let flow = split
                    .take(part, &stored_len, &mut |number, offset, piece| whole.take(number, offset, piece));
                assert!(flow.is_continue());
            }
            assert_eq!(
                seen,
                [(0, b"aaa".to_vec()), (1, b"b".to_vec()), (2, b"cccc".to_vec())],
                "split at {first}"
            );
        }
    }

    #[test]
    fn pieces_say_where_they_belong() {
        let mut seen = Vec::new();
        let mut split = Splitter::new(&[4, 6]);
        let mut sink = |number: usize, offset: u64, piece: &[u8]| {
            seen.push((number, offset, piece.to_vec()));
            Ok(())
        };
        for part in [&b"ab"[..], b"", b"cde"] {
            assert!(split.take(part, &|_| 3, &mut sink).is_continue());
        }
        assert_eq!(seen, [(4, 0, b"ab".to_vec()), (4, 2, b"c".to_vec()), (6, 0, b"de".to_vec())]);
        assert_eq!(split.done, 1);
    }

    #[test]
    fn a_sink_that_refuses_stops_the_transfer() {
        let mut split = Splitter::new(&[0, 1]);
        let flow = split.take(b"aabb", &|_| 2, &mut |_, _, _| Err(Stopped));
        assert!(flow.is_break());
        assert_eq!(split.done, 0);
    }
}

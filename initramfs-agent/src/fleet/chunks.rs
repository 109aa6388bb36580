//! The server as a source of chunks: batches of stored chunks, taken up again at the chunk where a connection broke.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::time::Duration;

use image_format::index::Index;
use image_format::manifest::ObjectRef;

use super::fetch::Server;
use crate::disk::install::{ChunkSource, EntrySink, SourceError, Stopped};
use crate::http::HttpError;

/// How long nothing may arrive before a transfer is given up.
const PATIENCE: Duration = Duration::from_secs(90);

impl ChunkSource for Server {
    fn fetch(
        &mut self,
        index: &ObjectRef,
        entries: &Index,
        wanted: &[usize],
        sink: &mut EntrySink<'_>,
    ) -> Result<(), SourceError> {
        let stored_len =
            |number: usize| entries.entries().get(number).map_or(0, |entry| u64::from(entry.stored_len));
        let mut delivered = 0;
        self.be_patient(PATIENCE);
        while delivered < wanted.len() {
            let rest = &wanted[delivered..];
            let path = format!("/batch/{}/{}", index.id, ranges(rest));
            let expected = rest.iter().map(|number| stored_len(*number)).sum();
            let mut split = Splitter { wanted: rest, done: 0, bytes: Vec::new() };
            let result = self.stream(&path, expected, &mut |bytes| split.take(bytes, &stored_len, sink));
            let progress = split.done;
            delivered += progress;
            match result {
                Ok(()) if delivered < wanted.len() => {
                    return Err(format!("{path}: {progress} of {} chunks in the answer", rest.len()).into());
                }
                Ok(()) => {}
                Err(HttpError::Stopped) => return Err(Stopped.into()),
                Err(error) => {
                    if progress > 0 {
                        self.be_patient(PATIENCE);
                    }
                    self.pause_after(&path, error)?;
                }
            }
        }
        Ok(())
    }

    fn fetch_object(
        &mut self,
        object: &ObjectRef,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Stopped>,
    ) -> Result<(), SourceError> {
        let path = format!("/objects/{}", object.id);
        let mut delivered = 0_u64;
        self.be_patient(PATIENCE);
        loop {
            // There are no ranges of an object: a repeated answer is skipped up to where the last one broke.
            let mut position = 0_u64;
            let before = delivered;
            let result = self.stream(&path, object.size, &mut |bytes| {
                let skip = usize::try_from(delivered.saturating_sub(position))
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                position += bytes.len() as u64;
                delivered = delivered.max(position);
                flow(&sink(&bytes[skip..]))
            });
            match result {
                Ok(()) => return Ok(()),
                Err(HttpError::Stopped) => return Err(Stopped.into()),
                Err(error) => {
                    if delivered > before {
                        self.be_patient(PATIENCE);
                    }
                    self.pause_after(&path, error)?;
                }
            }
        }
    }
}

fn flow(result: &Result<(), Stopped>) -> ControlFlow<()> {
    if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// As a transfer does it, without one.
pub(super) fn split<'a>(
    entries: &Index,
    wanted: &[usize],
    pieces: impl Iterator<Item = &'a [u8]>,
    sink: &mut EntrySink<'_>,
) {
    let stored_len =
        |number: usize| entries.entries().get(number).map_or(0, |entry| u64::from(entry.stored_len));
    let mut split = Splitter { wanted, done: 0, bytes: Vec::new() };
    for piece in pieces {
        if split.take(piece, &stored_len, sink).is_break() {
            return;
        }
    }
}

/// Cuts a body into the chunks that were asked for.
struct Splitter<'a> {
    wanted: &'a [usize],
    done: usize,
    bytes: Vec<u8>,
}

impl Splitter<'_> {
    fn take(
        &mut self,
        mut bytes: &[u8],
        stored_len: &dyn Fn(usize) -> u64,
        sink: &mut EntrySink<'_>,
    ) -> ControlFlow<()> {
        while let Some(number) = self.wanted.get(self.done).copied() {
            let length = usize::try_from(stored_len(number)).unwrap_or(usize::MAX);
            let missing = length.saturating_sub(self.bytes.len());
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            // A chunk that lies in the buffer as a whole is passed on without a copy.
            if self.bytes.is_empty() && now.len() == length {
                flow(&sink(number, now))?;
            } else {
                self.bytes.extend_from_slice(now);
                if self.bytes.len() < length {
                    return ControlFlow::Continue(());
                }
                flow(&sink(number, &self.bytes))?;
                self.bytes.clear();
            }
            self.done += 1;
            bytes = later;
        }
        ControlFlow::Continue(())
    }
}

/// `3-5,9`: ascending numbers as the batch URL has them.
fn ranges(numbers: &[usize]) -> String {
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
    fn a_body_is_cut_into_chunks_wherever_it_is_split() {
        let lengths = [3_u64, 1, 4];
        let body = b"aaabcccc";
        for first in 0..=body.len() {
            let mut split = Splitter { wanted: &[0, 1, 2], done: 0, bytes: Vec::new() };
            let mut seen = Vec::new();
            let mut sink = |number: usize, bytes: &[u8]| {
                seen.push((number, bytes.to_vec()));
                Ok(())
            };
            for part in [&body[..first], &body[first..]] {
                assert!(split.take(part, &|number| lengths[number], &mut sink).is_continue());
            }
            assert_eq!(
                seen,
                [(0, b"aaa".to_vec()), (1, b"b".to_vec()), (2, b"cccc".to_vec())],
                "split at {first}"
            );
        }
    }

    #[test]
    fn a_sink_that_refuses_stops_the_transfer() {
        let mut split = Splitter { wanted: &[0, 1], done: 0, bytes: Vec::new() };
        let flow = split.take(b"aabb", &|_| 2, &mut |_, _| Err(Stopped));
        assert!(flow.is_break());
        assert_eq!(split.done, 0);
    }
}

//! The server as a source of chunks and segments: in batches, taken up again at the object where a connection broke.

use std::ops::ControlFlow;
use std::time::Duration;

use image_format::ObjectId;
use image_format::index::Index;
use image_format::manifest::ObjectRef;
use image_format::patch::SegmentTable;

use super::batch::{Splitter, Whole, ranges};
use super::fetch::Server;
use crate::disk::install::{ChunkSource, EntrySink, PieceSink, Refused, SourceError, Stopped};
use crate::http::HttpError;

/// How long nothing may arrive before a transfer is given up.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often in a row a server may answer that it failed, while nothing arrives: then it will fail for ever, and another way to the same
/// bytes may be better.
const FAILURES_MAX: u32 = 3;

impl ChunkSource for Server {
    fn fetch(
        &mut self,
        index: &ObjectRef,
        entries: &Index,
        wanted: &[usize],
        sink: &mut EntrySink<'_>,
    ) -> Result<(), SourceError> {
        let stored_len = stored_len(entries);
        let mut whole = Whole::new(&stored_len, sink);
        self.batch(index.id, wanted, &stored_len, &mut |number, offset, piece| {
            whole.take(number, offset, piece)
        })
    }

    fn fetch_segments(
        &mut self,
        table: &ObjectRef,
        segments: &SegmentTable,
        wanted: &[usize],
        sink: &mut PieceSink<'_>,
    ) -> Result<(), SourceError> {
        let stored_len = |number: usize| {
            segments.segments().get(number).map_or(0, |segment| u64::from(segment.stored_len))
        };
        self.batch(table.id, wanted, &stored_len, sink)
    }

    fn fetch_object(
        &mut self,
        object: &ObjectRef,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Stopped>,
    ) -> Result<(), SourceError> {
        let path = format!("/objects/{}", object.id);
        let mut delivered = 0_u64;
        let mut failures = Failures::default();
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
                if sink(&bytes[skip..]).is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            match result {
                Ok(()) => return Ok(()),
                Err(error) => failures.after(self, &path, error, delivered > before)?,
            }
        }
    }
}

fn stored_len(entries: &Index) -> impl Fn(usize) -> u64 {
    |number| entries.entries().get(number).map_or(0, |entry| u64::from(entry.stored_len))
}

impl Server {
    /// The objects `wanted` of the list `list`, an index or a segment table, in pieces.
    fn batch(
        &mut self,
        list: ObjectId,
        wanted: &[usize],
        stored_len: &dyn Fn(usize) -> u64,
        sink: &mut PieceSink<'_>,
    ) -> Result<(), SourceError> {
        let mut delivered = 0;
        let mut failures = Failures::default();
        self.be_patient(PATIENCE);
        while delivered < wanted.len() {
            let rest = &wanted[delivered..];
            let path = format!("/batch/{list}/{}", ranges(rest));
            let expected = rest.iter().map(|number| stored_len(*number)).sum();
            let mut split = Splitter::new(rest);
            let result = self.stream(&path, expected, &mut |bytes| split.take(bytes, stored_len, sink));
            let progress = split.done;
            delivered += progress;
            match result {
                Ok(()) if delivered < wanted.len() => {
                    let short = format!("{path}: {progress} of {} chunks in the answer", rest.len());
                    return Err(Refused(short.into()).into());
                }
                Ok(()) => {}
                Err(error) => failures.after(self, &path, error, progress > 0)?,
            }
        }
        Ok(())
    }
}

/// What went wrong since something arrived.
#[derive(Debug, Default)]
struct Failures {
    of_the_server: u32,
}

impl Failures {
    /// Waits before the next try, or says why there is none.
    fn after(
        &mut self,
        server: &mut Server,
        path: &str,
        error: HttpError,
        progress: bool,
    ) -> Result<(), SourceError> {
        if matches!(error, HttpError::Stopped) {
            return Err(Stopped.into());
        }
        if progress {
            self.of_the_server = 0;
            server.be_patient(PATIENCE);
        }
        if error.is_failure() {
            self.of_the_server += 1;
        }
        let is_over = self.of_the_server >= FAILURES_MAX;
        if is_over || !error.is_transient() {
            return Err(Refused(error.into()).into());
        }
        // A server that says when to come again lives, and is waited for.
        if let Some(asked) = error.retry_after() {
            server.be_patient(PATIENCE + asked);
        }
        Ok(server.pause_after(path, error)?)
    }
}

/// As a transfer does it, without one.
pub(super) fn split<'a>(
    entries: &Index,
    wanted: &[usize],
    pieces: impl Iterator<Item = &'a [u8]>,
    sink: &mut EntrySink<'_>,
) {
    let stored_len = stored_len(entries);
    let mut whole = Whole::new(&stored_len, sink);
    let mut split = Splitter::new(wanted);
    for piece in pieces {
        let flow =
            split.take(piece, &stored_len, &mut |number, offset, piece| whole.take(number, offset, piece));
        if flow.is_break() {
            return;
        }
    }
}

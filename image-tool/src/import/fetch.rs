//! The artifact's bytes in order, read ahead by one group of chunks.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::Context as _;
use rayon::prelude::*;

use crate::casync::{Castr, CasyncChunk, CasyncIndex, Hash};

/// Plain bytes of a group of chunks, unless one chunk alone is longer.
const GROUP: u64 = 4 << 20;

/// What one group gave.
type Group = anyhow::Result<Vec<Vec<u8>>>;

/// Gives `work` a reader over the whole artifact. The first failure, of the fetching or of the working, is the result.
pub(super) fn stream<T>(
    castr: &Castr,
    index: &CasyncIndex,
    work: impl FnOnce(&mut dyn Read) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(castr.threads());
    let pool = pool.build().context("start threads that fetch")?;
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        scope.spawn(move || pool.install(|| fetch(castr, index, &sender)));
        let mut reader = Reader { receiver, ready: VecDeque::new(), at: 0, failed: None };
        let worked = work(&mut reader);
        // Dropped with the reader, the channel ends the fetching too.
        match reader.failed.take() {
            Some(error) => Err(error),
            None => worked,
        }
    })
}

fn fetch(castr: &Castr, index: &CasyncIndex, sender: &SyncSender<Group>) {
    for group in groups(index.chunks()) {
        let fetched = get(castr, group, index.hash());
        let is_last = fetched.is_err();
        // Nobody receives any more: the work has failed.
        if sender.send(fetched).is_err() || is_last {
            return;
        }
    }
}

fn get(castr: &Castr, group: &[CasyncChunk], hash: Hash) -> Group {
    group.par_iter().map(|chunk| castr.chunk(chunk, hash)).collect()
}

/// Slices of at most [`GROUP`] bytes, or of one chunk.
fn groups(mut chunks: &[CasyncChunk]) -> impl Iterator<Item = &[CasyncChunk]> {
    std::iter::from_fn(move || {
        let mut size = 0;
        let fits = |chunk: &&CasyncChunk| {
            size += u64::from(chunk.len);
            size <= GROUP
        };
        let count = chunks.iter().take_while(fits).count().max(1).min(chunks.len());
        let (group, rest) = chunks.split_at(count);
        chunks = rest;
        (!group.is_empty()).then_some(group)
    })
}

struct Reader {
    receiver: Receiver<Group>,
    ready: VecDeque<Vec<u8>>,
    /// Bytes of the first of `ready` that were given out.
    at: usize,
    /// Why there is no more: an `io::Error` would lose the chain of causes.
    failed: Option<anyhow::Error>,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() {
            match self.receiver.recv() {
                Ok(Ok(group)) => self.ready.extend(group),
                Ok(Err(error)) => {
                    self.failed = Some(error);
                    return Err(io::Error::other("a chunk could not be fetched"));
                }
                Err(_) => return Ok(0),
            }
        }
        let rest = &self.ready[0][self.at..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        if self.at == self.ready[0].len() {
            self.ready.pop_front();
            self.at = 0;
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::casync::CasyncId;

    #[test]
    fn groups_cover_all_and_are_bounded() {
        let lens = [GROUP as u32, 1, GROUP as u32 - 1, 1, 5, 6];
        let chunks = lens.map(|len| CasyncChunk { id: CasyncId([0; 32]), len });
        let found: Vec<usize> = groups(&chunks).map(<[_]>::len).collect();
        assert_eq!(found, [1, 2, 3]);
        assert_eq!(groups(&[]).count(), 0);
    }
}

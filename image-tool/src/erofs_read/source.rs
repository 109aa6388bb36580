//! What an image is read from: bytes, or the chunks in a store.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use image_format::index::{Entry, Index};
use image_format::store::Store;

use crate::plain;

/// Chunks that a [`StoreImage`] keeps: at most 16 MiB.
const KEPT: usize = 64;

/// Bytes at places.
pub(crate) trait ReadAt {
    /// How many there are.
    fn size(&self) -> u64;

    /// Fills `into` with those from `at` on; all of them must be there.
    ///
    /// # Errors
    /// They are not, or cannot be read.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<()>;
}

impl<R: ReadAt + ?Sized> ReadAt for &R {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        (**self).read_at(into, at)
    }
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        let bytes = usize::try_from(at).ok().and_then(|at| self.get(at..)?.get(..into.len()));
        into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// An image by its index, out of the chunks in a store. Every chunk is verified when it is read; the last ones used are kept.
#[derive(Debug)]
pub(crate) struct StoreImage<'s> {
    store: &'s Store,
    index: &'s Index,
    /// Where each entry begins.
    starts: Vec<u64>,
    kept: Mutex<VecDeque<(usize, Arc<Vec<u8>>)>>,
}

impl<'s> StoreImage<'s> {
    /// The image of `index`, whose chunks are in `store`.
    pub(crate) fn new(store: &'s Store, index: &'s Index) -> Self {
        let starts = index.iter_at().map(|(start, _)| start).collect();
        Self { store, index, starts, kept: Mutex::default() }
    }

    /// The plain bytes of an entry that is not zero.
    fn chunk(&self, number: usize) -> io::Result<Arc<Vec<u8>>> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = kept().iter().find(|(known, _)| *known == number) {
            return Ok(Arc::clone(bytes));
        }
        let bytes = Arc::new(read_chunk(self.store, &self.index.entries()[number])?);
        let mut kept = kept();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((number, Arc::clone(&bytes)));
        Ok(bytes)
    }
}

/// The verified plain bytes of an entry that is not zero.
pub(crate) fn read_chunk(store: &Store, entry: &Entry) -> io::Result<Vec<u8>> {
    plain::chunk(store, entry).map(|chunk| chunk.plain).map_err(io::Error::other)
}

impl ReadAt for StoreImage<'_> {
    fn size(&self) -> u64 {
        self.index.plain_size()
    }

    fn read_at(&self, mut into: &mut [u8], mut at: u64) -> io::Result<()> {
        if at.checked_add(into.len() as u64).is_none_or(|end| end > self.size()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !into.is_empty() {
            // The first entry begins at 0, so there is one at or before every place.
            let number = self.starts.partition_point(|start| *start <= at) - 1;
            let entry = &self.index.entries()[number];
            let skip = (at - self.starts[number]) as usize;
            let now = into.len().min(entry.plain_len as usize - skip);
            let (head, rest) = into.split_at_mut(now);
            if entry.is_zero() {
                head.fill(0);
            } else {
                head.copy_from_slice(&self.chunk(number)?[skip..skip + now]);
            }
            at += now as u64;
            into = rest;
        }
        Ok(())
    }
}

//! Parts of files, one behind the other, as a [`Source`] of an answer.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::vec;

use image_format::ObjectId;
use image_format::store::{ObjectExtent, Store};
use rustix::io::{Errno, ReadWriteFlags};

use crate::files::Opened;
use crate::http::pieces::Source;

/// What an answer consists of, in order.
#[derive(Debug, Default)]
pub struct Parts(Vec<Part>);

#[derive(Debug)]
enum Part {
    Open(ObjectExtent),
    /// An object, and its length in bytes: to be opened when it is its turn.
    Named(ObjectId, u64),
}

impl Parts {
    /// Bytes of this extent come next. If they stand behind the last ones in the same file, both are read at once.
    pub fn open(&mut self, next: ObjectExtent) {
        match self.0.last_mut() {
            Some(Part::Open(last))
                if Arc::ptr_eq(&last.file, &next.file) && last.offset + last.len == next.offset =>
            {
                last.len += next.len;
            }
            _ => self.0.push(Part::Open(next)),
        }
    }

    /// An object of the store comes next, which is `length` bytes long.
    pub fn named(&mut self, object: ObjectId, length: u64) {
        self.0.push(Part::Named(object, length));
    }

    /// Bytes of all parts.
    pub fn length(&self) -> u64 {
        let length = |part: &Part| match part {
            Part::Open(extent) => extent.len,
            Part::Named(_, length) => *length,
        };
        self.0.iter().map(length).sum()
    }
}

/// Reads parts of files.
#[derive(Debug, Default)]
pub struct Extents {
    current: Option<ObjectExtent>,
    /// Bytes of the current one that have been read.
    position: u64,
    rest: vec::IntoIter<Part>,
    /// Where named parts are.
    store: Option<Store>,
}

impl From<ObjectExtent> for Extents {
    fn from(extent: ObjectExtent) -> Self {
        Self { current: Some(extent), ..Self::default() }
    }
}

impl From<Opened> for Extents {
    fn from(opened: Opened) -> Self {
        ObjectExtent { file: Arc::new(opened.file), offset: 0, len: opened.size }.into()
    }
}

impl Extents {
    /// These, in their order; `store` has those that are only named.
    pub fn of(parts: Parts, store: Store) -> Self {
        Self { rest: parts.0.into_iter(), store: Some(store), ..Self::default() }
    }

    /// Goes on to the next part, if there is one that `open` opens.
    fn advance(&mut self, open: Open) -> io::Result<bool> {
        let next = match (self.rest.as_slice().first(), open) {
            (None, _) | (Some(Part::Named(..)), Open::Nothing) => return Ok(false),
            (Some(Part::Open(extent)), _) => extent.clone(),
            (Some(Part::Named(id, length)), Open::Named) => self.open(*id, *length)?,
        };
        self.rest.next();
        (self.current, self.position) = (Some(next), 0);
        Ok(true)
    }

    fn open(&self, id: ObjectId, length: u64) -> io::Result<ObjectExtent> {
        let opened = self.store.as_ref().map_or(Ok(None), |store| store.open_object(id));
        let opened = opened.map_err(io::Error::other)?.filter(|object| object.len == length);
        let changed = || io::Error::new(io::ErrorKind::UnexpectedEof, format!("object {id} has changed"));
        opened.ok_or_else(changed)
    }

    /// Reads on until `buffer` is full, or `read` has nothing, or nothing is left that `open` opens.
    fn fill(
        &mut self,
        buffer: &mut [u8],
        open: Open,
        read: impl Fn(&File, &mut [u8], u64) -> io::Result<Option<usize>>,
    ) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let Some(current) = self.current.as_ref().filter(|current| current.len > self.position) else {
                if self.advance(open)? {
                    continue;
                }
                break;
            };
            let left = usize::try_from(current.len - self.position).unwrap_or(usize::MAX);
            let room = (buffer.len() - filled).min(left);
            match read(&current.file, &mut buffer[filled..][..room], current.offset + self.position) {
                Ok(Some(0)) => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file has become shorter"));
                }
                Ok(Some(length)) => {
                    filled += length;
                    self.position += length as u64;
                }
                Ok(None) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// What may be opened on the way.
#[derive(Debug, Clone, Copy)]
enum Open {
    /// Opening may wait for a disk.
    Nothing,
    Named,
}

impl Source for Extents {
    fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let filled = self.fill(buffer, Open::Nothing, |file, target, offset| {
            let mut slices = [IoSliceMut::new(target)];
            match rustix::io::preadv2(file, &mut slices, offset, ReadWriteFlags::NOWAIT) {
                Ok(length) => Ok(Some(length)),
                // Not in memory, or on a file system that cannot tell.
                Err(Errno::AGAIN | Errno::OPNOTSUPP) => Ok(None),
                Err(errno) => Err(errno.into()),
            }
        })?;
        Ok(Some(filled).filter(|filled| *filled > 0))
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill(buffer, Open::Named, |file, target, offset| file.read_at(target, offset).map(Some))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(content: &str) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        Arc::new(file)
    }

    fn extent(file: &Arc<File>, offset: u64, len: u64) -> ObjectExtent {
        ObjectExtent { file: file.clone(), offset, len }
    }

    /// Neighbours, gaps, two files, and an object that has to be opened.
    fn parts(store: &Store) -> Parts {
        let (a, b) = (file("abcdefgh"), file("ABCDEFGH"));
        let mut parts = Parts::default();
        for (file, offset, len) in [(&a, 0, 2), (&a, 2, 3), (&a, 6, 1), (&b, 7, 1)] {
            parts.open(extent(file, offset, len));
        }
        let mut batch = store.batch().unwrap();
        let put = batch.put(b"object").unwrap();
        batch.commit().unwrap();
        parts.named(put.id, 6);
        parts.open(extent(&b, 0, 3));
        parts.open(extent(&b, 3, 1));
        parts
    }

    #[test]
    fn parts_are_read_in_their_order_and_neighbours_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        for length in [1, 3, 64] {
            let parts = parts(&store);
            assert_eq!((parts.0.len(), parts.length()), (5, 17));
            let mut extents = Extents::of(parts, store.clone());
            let mut all = Vec::new();
            let mut buffer = vec![0; length];
            while all.len() < 17 {
                let read = match extents.read_now(&mut buffer).unwrap() {
                    Some(read) => read,
                    None => extents.read(&mut buffer).unwrap(),
                };
                all.extend_from_slice(&buffer[..read]);
            }
            assert_eq!(String::from_utf8(all).unwrap(), "abcdegHobjectABCD");
            assert_eq!(extents.read(&mut buffer).unwrap(), 0);
        }
    }

    #[test]
    fn what_is_not_as_promised_is_an_error() {
        let short = file("abc");
        let error = Extents::from(extent(&short, 1, 3)).read(&mut [0; 8]).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::UnexpectedEof, "a file has become shorter")
        );
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let mut parts = parts(&store);
        let id = ObjectId::of(b"object");
        parts.0.truncate(0);
        parts.named(id, 7);
        let error = Extents::of(parts, store).read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.to_string(), format!("object {id} has changed"));
    }
}

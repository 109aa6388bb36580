//! Looking at objects.

use std::sync::Arc;

use super::extent::ObjectExtent;
use super::packs::{Entry, Tables};
use super::{Store, StoreError, files};
use crate::ObjectId;

/// Bytes hashed at a time.
const VERIFY_LEN: usize = 1 << 20;

/// Times that a pack which has just been taken away is looked for in another one.
const ATTEMPTS: u32 = 5;

impl Store {
    /// Whether the object is there. Its digest is not checked.
    ///
    /// # Errors
    /// [`StoreError::NotAFile`], [`StoreError::Io`].
    pub fn contains(&self, id: ObjectId) -> Result<bool, StoreError> {
        Ok(self.size(id)?.is_some())
    }

    /// The object's size in bytes, if it is there.
    ///
    /// # Errors
    /// [`StoreError::NotAFile`], [`StoreError::Io`].
    pub fn size(&self, id: ObjectId) -> Result<Option<u64>, StoreError> {
        if let Some(entry) = self.packs.recent()?.find(id).first() {
            return Ok(Some(entry.len.into()));
        }
        if let Some(size) = files::regular_size(self.object_file(id))? {
            return Ok(Some(size));
        }
        Ok(self.packs.now()?.find(id).first().map(|entry| entry.len.into()))
    }

    /// Opens an object for one who checks the digest on his own (a server's client). Never a link or a FIFO.
    ///
    /// # Errors
    /// [`StoreError::NotAFile`], [`StoreError::Io`].
    pub fn open_object(&self, id: ObjectId) -> Result<Option<ObjectExtent>, StoreError> {
        let tables = self.packs.recent()?;
        if let Some(extent) = packed(&tables, id).next().transpose()? {
            return Ok(Some(extent));
        }
        if let Some(extent) = self.open_loose(id)? {
            return Ok(Some(extent));
        }
        for _ in 0..ATTEMPTS {
            let tables = self.packs.now()?;
            if tables.find(id).is_empty() {
                break;
            }
            if let Some(extent) = packed(&tables, id).next().transpose()? {
                return Ok(Some(extent));
            }
        }
        Ok(None)
    }

    /// The object's bytes, which have its digest.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::TooLarge`] beyond `max` bytes, [`StoreError::Digest`] for a damaged object,
    /// [`StoreError::NotAFile`], [`StoreError::Io`].
    pub fn read(&self, id: ObjectId, max: u64) -> Result<Vec<u8>, StoreError> {
        self.first_good(id, |extent| read_extent(extent, id, max, || self.object_file(id)))
    }

    /// Reads the object and compares its digest, in constant memory. Returns its size in bytes.
    ///
    /// # Errors
    /// As [`Store::read`], without a limit.
    pub fn verify_object(&self, id: ObjectId) -> Result<u64, StoreError> {
        self.first_good(id, |extent| {
            verify_extent(extent, id, || self.object_file(id))?;
            Ok(extent.len)
        })
    }

    /// The result for the first copy of the object that it is good for; if there is none, the first error.
    fn first_good<T>(
        &self,
        id: ObjectId,
        work: impl Fn(&ObjectExtent) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some(first) = self.open_object(id)? else { return Err(StoreError::Missing { id }) };
        let error = match work(&first) {
            Ok(result) => return Ok(result),
            Err(error) => error,
        };
        let tables = self.packs.recent()?;
        let others = packed(&tables, id).chain(self.open_loose(id).transpose());
        others.flatten().find_map(|extent| work(&extent).ok()).ok_or(error)
    }

    pub(super) fn open_loose(&self, id: ObjectId) -> Result<Option<ObjectExtent>, StoreError> {
        let opened = files::open_regular_in_directory(self.object_file(id))?;
        Ok(opened.map(|(file, len)| ObjectExtent { file: Arc::new(file), offset: 0, len }))
    }
}

/// The places of an object in packs that are there.
fn packed(tables: &Tables, id: ObjectId) -> impl Iterator<Item = Result<ObjectExtent, StoreError>> {
    tables.find(id).iter().filter_map(|entry| open_entry(tables, entry).transpose())
}

pub(super) fn open_entry(tables: &Tables, entry: &Entry) -> Result<Option<ObjectExtent>, StoreError> {
    let file = tables.pack(entry).open()?;
    Ok(file.map(|file| ObjectExtent { file, offset: entry.offset, len: entry.len.into() }))
}

fn read_extent(
    extent: &ObjectExtent,
    id: ObjectId,
    max: u64,
    path: impl Fn() -> std::path::PathBuf,
) -> Result<Vec<u8>, StoreError> {
    if extent.len > max {
        return Err(StoreError::TooLarge { path: path(), max, found: extent.len });
    }
    let mut bytes = vec![0; extent.len as usize];
    let mut done = 0;
    while done < bytes.len() {
        let read = extent.read_at(&mut bytes[done..], done as u64);
        done += read.map_err(|source| StoreError::io("read", &path(), source))?;
    }
    match ObjectId::of(&bytes) {
        found if found == id => Ok(bytes),
        found => Err(StoreError::Digest { expected: id, found }),
    }
}

pub(super) fn verify_extent(
    extent: &ObjectExtent,
    id: ObjectId,
    path: impl Fn() -> std::path::PathBuf,
) -> Result<(), StoreError> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; VERIFY_LEN.min(extent.len as usize)];
    let mut done = 0;
    while done < extent.len {
        let len =
            extent.read_at(&mut buffer, done).map_err(|source| StoreError::io("read", &path(), source))?;
        hasher.update(&buffer[..len]);
        done += len as u64;
    }
    match ObjectId::from_bytes(*hasher.finalize().as_bytes()) {
        found if found == id => Ok(()),
        found => Err(StoreError::Digest { expected: id, found }),
    }
}

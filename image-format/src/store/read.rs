//! Looking at objects.

use std::fs::File;
use std::io::Read;

use super::{Store, StoreError, files};
use crate::ObjectId;

/// Bytes hashed at a time.
const VERIFY_LEN: usize = 1 << 20;

impl Store {
    /// Whether the object is there, as a regular file. Its digest is not checked.
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
        files::regular_size(self.object_file(id))
    }

    /// Opens an object for one who checks the digest on his own (a server's client), with its size. Never a link or a FIFO.
    ///
    /// # Errors
    /// [`StoreError::NotAFile`], [`StoreError::Io`].
    pub fn open_object(&self, id: ObjectId) -> Result<Option<(File, u64)>, StoreError> {
        files::open_regular(self.object_file(id))
    }

    /// The object's bytes, which have its digest.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::TooLarge`] beyond `max` bytes, [`StoreError::Digest`] for a damaged object,
    /// [`StoreError::NotAFile`], [`StoreError::Io`].
    pub fn read(&self, id: ObjectId, max: u64) -> Result<Vec<u8>, StoreError> {
        let bytes = files::read_regular(&self.object_file(id), max)?.ok_or(StoreError::Missing { id })?;
        match ObjectId::of(&bytes) {
            found if found == id => Ok(bytes),
            found => Err(StoreError::Digest { expected: id, found }),
        }
    }

    /// Reads the object and compares its digest, in constant memory. Returns its size in bytes.
    ///
    /// # Errors
    /// As [`Store::read`], without a limit.
    pub fn verify_object(&self, id: ObjectId) -> Result<u64, StoreError> {
        let (mut file, _) = self.open_object(id)?.ok_or(StoreError::Missing { id })?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; VERIFY_LEN];
        let mut size = 0;
        loop {
            let len = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(StoreError::io("read", &self.object_file(id), error)),
            };
            hasher.update(&buffer[..len]);
            size += len as u64;
        }
        match ObjectId::from_bytes(*hasher.finalize().as_bytes()) {
            found if found == id => Ok(size),
            found => Err(StoreError::Digest { expected: id, found }),
        }
    }
}

//! An object that is being read.

use std::fmt;

use crate::ObjectId;
use crate::store::{ObjectExtent, files};

/// Bytes read at a time.
const READ_LEN: u64 = 256 << 10;

/// An object and what was read of it.
pub(super) struct Hashing {
    id: ObjectId,
    extent: ObjectExtent,
    hasher: blake3::Hasher,
    done: u64,
    /// It cannot be read.
    broken: bool,
}

impl fmt::Debug for Hashing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hashing").field("id", &self.id).field("done", &self.done).finish_non_exhaustive()
    }
}

impl Hashing {
    pub(super) fn new(id: ObjectId, extent: ObjectExtent) -> Self {
        Self { id, extent, hasher: blake3::Hasher::new(), done: 0, broken: false }
    }

    pub(super) fn id(&self) -> ObjectId {
        self.id
    }

    /// Reads up to about `budget` bytes; returns how many.
    pub(super) fn step(&mut self, budget: u64) -> u64 {
        let before = self.done;
        let mut buffer = vec![0; READ_LEN.min(self.extent.len) as usize];
        while self.done < self.extent.len && self.done - before < budget && !self.broken {
            // What somebody has just used would be read from memory, where it may be better than on the disk.
            let left = (self.extent.len - self.done).min(READ_LEN);
            files::forget_cached(&self.extent.file, self.extent.offset + self.done, left);
            match self.extent.read_at(&mut buffer, self.done) {
                Ok(len) => {
                    self.hasher.update(&buffer[..len]);
                    self.done += len as u64;
                }
                Err(_) => self.broken = true,
            }
        }
        self.done - before
    }

    /// Whether it is good, if all of it was read.
    pub(super) fn verdict(&self) -> Option<bool> {
        if self.broken {
            return Some(false);
        }
        (self.done >= self.extent.len).then(|| self.hasher.finalize().as_bytes() == self.id.as_bytes())
    }
}

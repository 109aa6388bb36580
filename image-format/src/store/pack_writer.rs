//! Writing a pack file.

use std::fs::File;
use std::path::PathBuf;

use super::pack::{self, PACK_LEN, PACK_OBJECTS_MAX, PackId, Row};
use super::{StoreError, files};
use crate::ObjectId;

/// Bytes collected before they are written.
const BUFFER: usize = 1 << 20;

/// Bytes written before the system is told to begin with the disk.
const WRITE_BACK: u64 = 32 << 20;

/// A pack that grows in a private directory.
#[derive(Debug)]
pub(super) struct PackWriter {
    path: PathBuf,
    file: File,
    rows: Vec<Row>,
    /// Objects that are not written yet: they belong at `written`.
    buffer: Vec<u8>,
    written: u64,
    /// Where the disk has been told to be.
    begun: u64,
}

/// A pack that is complete, but neither durable nor visible.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) id: PackId,
    pub(super) path: PathBuf,
}

impl PackWriter {
    pub(super) fn create(path: PathBuf) -> Result<Self, StoreError> {
        let file = files::create_new(&path)?;
        let buffer = Vec::with_capacity(BUFFER);
        Ok(Self { path, file, rows: Vec::new(), buffer, written: 0, begun: 0 })
    }

    /// Appends an object that is not in it. If that fails, the pack is what it was before.
    pub(super) fn append(&mut self, id: ObjectId, bytes: &[u8]) -> Result<(), StoreError> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        let offset = self.written + self.buffer.len() as u64;
        let len = u32::try_from(bytes.len()).expect("packed objects are smaller than PACKED_MAX");
        self.buffer.extend_from_slice(bytes);
        self.rows.push(Row { id, offset, len });
        Ok(())
    }

    pub(super) fn is_full(&self) -> bool {
        self.written + self.buffer.len() as u64 >= PACK_LEN || self.rows.len() >= PACK_OBJECTS_MAX as usize
    }

    /// Adds the table. May be repeated if it fails.
    pub(super) fn finish(&mut self) -> Result<Packed, StoreError> {
        self.flush()?;
        let (id, table) = pack::encode(&mut self.rows, self.written);
        files::write_at(&self.file, &self.path, &table, self.written)?;
        files::begin_write_back(&self.file, self.begun, self.written - self.begun + table.len() as u64);
        Ok(Packed { id, path: self.path.clone() })
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        files::write_at(&self.file, &self.path, &self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.begun >= WRITE_BACK {
            files::begin_write_back(&self.file, self.begun, self.written - self.begun);
            self.begun = self.written;
        }
        Ok(())
    }
}

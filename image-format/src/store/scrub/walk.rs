//! Every place where an object is, one after the other.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::ObjectId;
use crate::store::pack::{self, PackId, Row};
use crate::store::{OBJECTS, ObjectExtent, Store, StoreError, entries, files, object_of};

/// The places that are left.
#[derive(Debug)]
pub(super) struct Walk {
    packs: VecDeque<PathBuf>,
    /// Directories of objects' own files.
    dirs: VecDeque<PathBuf>,
    files: VecDeque<ObjectId>,
}

/// What comes next.
pub(super) enum Found {
    Object(ObjectId, ObjectExtent),
    NoFile(ObjectId),
    Pack(PackScan),
    BadPack(PathBuf),
}

/// A pack whose objects are being read, in the order in which they lie there.
#[derive(Debug)]
pub(super) struct PackScan {
    pub(super) path: PathBuf,
    file: Arc<File>,
    rows: Vec<Row>,
    /// Objects that were read.
    judged: usize,
    damaged: Vec<usize>,
}

impl Walk {
    pub(super) fn new(store: &Store) -> Result<Self, StoreError> {
        let tables = store.packs.now()?;
        let packs = tables.packs().iter().map(|pack| pack.path.clone());
        let packs = packs.chain(tables.bad.iter().map(|(path, _)| path.clone())).collect();
        let dirs: Result<_, _> = entries(store.path().join(OBJECTS)).collect();
        Ok(Self { packs, dirs: dirs?, files: VecDeque::new() })
    }

    /// What is gone in the meantime is passed over.
    pub(super) fn next(&mut self, store: &Store) -> Result<Option<Found>, StoreError> {
        while let Some(path) = self.packs.pop_front() {
            let name = path.file_name().and_then(|name| name.to_str()).and_then(PackId::of_file_name);
            let Some(id) = name else { continue };
            match files::open_regular(path.clone()) {
                Ok(None) => {}
                Ok(Some((file, len))) => {
                    files::forget_cached(&file, 0, len);
                    return Ok(Some(match pack::read_table(&file, len, id) {
                        Ok(rows) => Found::Pack(PackScan::new(path, file, rows)),
                        Err(_) => Found::BadPack(path),
                    }));
                }
                Err(StoreError::NotAFile { .. }) => return Ok(Some(Found::BadPack(path))),
                Err(error) => return Err(error),
            }
        }
        loop {
            while let Some(id) = self.files.pop_front() {
                match store.open_loose(id) {
                    Ok(None) => {}
                    Ok(Some(extent)) => return Ok(Some(Found::Object(id, extent))),
                    Err(StoreError::NotAFile { .. }) => return Ok(Some(Found::NoFile(id))),
                    Err(error) => return Err(error),
                }
            }
            let Some(dir) = self.dirs.pop_front() else { return Ok(None) };
            // Strangers are named by `Store::list`.
            if dir.is_dir() {
                self.files.extend(entries(dir).map(object_of).filter_map(Result::ok));
            }
        }
    }
}

impl PackScan {
    fn new(path: PathBuf, file: File, mut rows: Vec<Row>) -> Self {
        rows.sort_unstable_by_key(|row| row.offset);
        Self { path, file: Arc::new(file), rows, judged: 0, damaged: Vec::new() }
    }

    /// The next object, until all are judged.
    pub(super) fn next(&mut self) -> Option<(ObjectId, ObjectExtent)> {
        let row = self.rows.get(self.judged)?;
        Some((row.id, self.extent(row)))
    }

    /// Whether the object that was given last is good.
    pub(super) fn judge(&mut self, good: bool) {
        if !good {
            self.damaged.push(self.judged);
        }
        self.judged += 1;
    }

    /// Numbers of the damaged rows, ascending.
    pub(super) fn damaged(&self) -> &[usize] {
        &self.damaged
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(super) fn extent(&self, row: &Row) -> ObjectExtent {
        ObjectExtent { file: self.file.clone(), offset: row.offset, len: row.len.into() }
    }
}

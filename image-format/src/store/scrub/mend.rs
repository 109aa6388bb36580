//! Moving damage away, and putting what is good in its place.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::walk::PackScan;
use super::{Repair, Scrub};
use crate::ObjectId;
use crate::store::pack::{self, Row};
use crate::store::packer::Packer;
use crate::store::{ObjectExtent, QUARANTINE, Store, StoreError, files};

impl Scrub {
    /// An object's own file is damaged, or is no file.
    pub(super) fn mend_loose(&mut self, id: ObjectId, repair: &mut Repair<'_>) -> Result<(), StoreError> {
        if !self.mend {
            return Ok(());
        }
        let path = self.store.object_file(id);
        self.move_away(&path, &id.to_string())?;
        if self.store.verify_object(id).is_ok() {
            // In a pack, too.
            self.report.repaired += 1;
        } else if let Some(bytes) = good_bytes(id, None, repair) {
            let mut batch = self.store.batch()?;
            batch.put_hashed(id, &bytes)?;
            batch.commit()?;
            self.report.repaired += 1;
        }
        Ok(())
    }

    /// Writes the pack again without its damaged objects.
    pub(super) fn mend_pack(&mut self, scan: &PackScan, repair: &mut Repair<'_>) -> Result<(), StoreError> {
        if !self.mend {
            return Ok(());
        }
        let temp = self.store.temp_dir()?;
        let mut packer = Packer::new(temp.path());
        let mut repaired = 0;
        for (number, row) in scan.rows().iter().enumerate() {
            if scan.damaged().binary_search(&number).is_err() {
                // It was good a moment ago. If it is not any more, the pack stays for the next pass.
                let Some(bytes) = read(&scan.extent(row), row.id) else { return Ok(()) };
                packer.append(row.id, &bytes)?;
                continue;
            }
            self.keep(&scan.extent(row), row.id)?;
            if let Some(bytes) =
                self.elsewhere(row).or_else(|| good_bytes(row.id, Some(row.len.into()), repair))
            {
                packer.append(row.id, &bytes)?;
                repaired += 1;
            }
        }
        let names = publish(&self.store, &mut packer)?;
        if !names.contains(&scan.path) {
            remove_if_there(&scan.path)?;
        }
        self.report.repaired += repaired;
        self.store.packs.now().map(drop)
    }

    /// Saves what can be told of a pack whose table is damaged, and moves it away.
    pub(super) fn mend_table(&mut self, path: &Path) -> Result<(), StoreError> {
        if !self.mend {
            return Ok(());
        }
        if let Ok(Some((file, len))) = files::open_regular(path.to_owned()) {
            let temp = self.store.temp_dir()?;
            let mut packer = Packer::new(temp.path());
            let file = Arc::new(file);
            let mut saved = HashSet::new();
            let mut left = len;
            for row in pack::salvage(&file, len) {
                // Objects do not overlap: what says so is noise.
                let Some(rest) = left.checked_sub(row.len.into()) else { break };
                left = rest;
                let extent = ObjectExtent { file: file.clone(), offset: row.offset, len: row.len.into() };
                if let Some(bytes) = read(&extent, row.id)
                    && saved.insert(row.id)
                {
                    packer.append(row.id, &bytes)?;
                }
            }
            let names = publish(&self.store, &mut packer)?;
            if names.iter().any(|name| name == path) {
                // It has been replaced by what it should have been.
                return Ok(());
            }
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("pack").to_owned();
        self.move_away(path, &name)
    }

    /// Another copy of the object that is good.
    fn elsewhere(&self, row: &Row) -> Option<Vec<u8>> {
        self.store.read(row.id, row.len.into()).ok()
    }

    /// Moves a file to the quarantine; in the place of what is there.
    fn move_away(&mut self, path: &Path, name: &str) -> Result<(), StoreError> {
        let dir = self.quarantine()?;
        match files::rename(path, &dir.join(name)) {
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(());
            }
            moved => moved?,
        }
        files::sync_dir(&dir)?;
        if let Some(from) = path.parent() {
            files::sync_dir(from)?;
        }
        self.report.quarantined += 1;
        Ok(())
    }

    /// Writes what can be read of a damaged object to the quarantine.
    fn keep(&mut self, extent: &ObjectExtent, id: ObjectId) -> Result<(), StoreError> {
        let mut bytes = vec![0; extent.len as usize];
        let mut done = 0;
        while done < bytes.len() {
            match extent.read_at(&mut bytes[done..], done as u64) {
                Ok(len) => done += len,
                Err(_) => break,
            }
        }
        let dir = self.quarantine()?;
        let temp = self.store.temp_dir()?;
        let path = temp.path().join(id.to_string());
        files::write_new(&path, &bytes[..done])?;
        files::rename(&path, &dir.join(id.to_string()))?;
        self.report.quarantined += 1;
        Ok(())
    }

    fn quarantine(&self) -> Result<PathBuf, StoreError> {
        let dir = self.store.path().join(QUARANTINE);
        files::make_dir(&dir)?;
        Ok(dir)
    }
}

/// Makes the packs durable and visible. Returns where they are.
fn publish(store: &Store, packer: &mut Packer) -> Result<Vec<PathBuf>, StoreError> {
    if packer.is_empty() {
        return Ok(Vec::new());
    }
    let dir = store.packs.dir();
    let names = packer.finish()?.iter().map(|packed| dir.join(packed.id.file_name())).collect();
    packer.sync()?;
    packer.publish(dir)?;
    files::sync_dir(dir)?;
    Ok(names)
}

/// Another process may have been faster.
fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match files::remove(path) {
        Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn good_bytes(id: ObjectId, size: Option<u64>, repair: &mut Repair<'_>) -> Option<Vec<u8>> {
    repair(id, size).filter(|bytes| ObjectId::of(bytes) == id)
}

fn read(extent: &ObjectExtent, id: ObjectId) -> Option<Vec<u8>> {
    let mut bytes = vec![0; extent.len as usize];
    let mut done = 0;
    while done < bytes.len() {
        done += extent.read_at(&mut bytes[done..], done as u64).ok()?;
    }
    (ObjectId::of(&bytes) == id).then_some(bytes)
}

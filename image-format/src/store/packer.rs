//! As many packs as it takes.

use std::path::{Path, PathBuf};

use super::pack_writer::{PackWriter, Packed};
use super::{StoreError, files};
use crate::ObjectId;

/// Packs on their way into the store, in a private directory.
#[derive(Debug)]
pub(super) struct Packer {
    dir: PathBuf,
    pack: Option<PackWriter>,
    packed: Vec<Packed>,
}

impl Packer {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), pack: None, packed: Vec::new() }
    }

    /// Whether nothing was ever appended.
    pub(super) fn is_empty(&self) -> bool {
        self.pack.is_none() && self.packed.is_empty()
    }

    /// Appends an object that is not in it, smaller than 4 GiB. If that fails, everything is what it was before.
    pub(super) fn append(&mut self, id: ObjectId, bytes: &[u8]) -> Result<(), StoreError> {
        if self.pack.as_ref().is_some_and(PackWriter::is_full) {
            self.finish()?;
        }
        if self.pack.is_none() {
            let path = self.dir.join(format!("{}.pack", self.packed.len()));
            self.pack = Some(PackWriter::create(path)?);
        }
        self.pack.as_mut().expect("it has just been made").append(id, bytes)
    }

    /// Completes the last pack. May be repeated if it fails.
    pub(super) fn finish(&mut self) -> Result<&[Packed], StoreError> {
        if let Some(pack) = &mut self.pack {
            self.packed.push(pack.finish()?);
            self.pack = None;
        }
        Ok(&self.packed)
    }

    /// Makes the finished packs durable one by one.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.packed.iter().try_for_each(|packed| files::sync_file(&packed.path))
    }

    /// Makes the finished packs visible, not durably: the directory is still to be synced.
    pub(super) fn publish(&self, packs: &Path) -> Result<(), StoreError> {
        files::make_dir(packs)?;
        self.packed
            .iter()
            .try_for_each(|packed| files::rename(&packed.path, &packs.join(packed.id.file_name())))
    }
}

//! Writing live objects into new packs.

use std::collections::HashSet;

use super::Marks;
use super::found::{Loose, Pack};
use crate::ObjectId;
use crate::store::pack::PackId;
use crate::store::packer::Packer;
use crate::store::{Store, StoreError, files};

/// What was written.
#[derive(Default)]
pub(super) struct Done {
    pub(super) packs: u64,
    pub(super) bytes: u64,
    pub(super) written: HashSet<PackId>,
    /// Packs that stay as they are, as something live in them cannot be read.
    pub(super) damaged: u64,
}

/// Writes what is live in `packs` and `loose` into new packs, which are then durable and visible. What cannot be read stays where
/// it is, and is taken off the lists.
pub(super) fn repack(
    store: &Store,
    marks: &Marks,
    loose: &mut Vec<Loose>,
    packs: &mut Vec<Pack>,
) -> Result<Done, StoreError> {
    if loose.iter().all(|loose| !loose.live) && packs.iter().all(|pack| pack.live.is_empty()) {
        return Ok(Done::default());
    }
    let temp = store.temp_dir()?;
    let mut copier = Copier { store, packer: Packer::new(temp.path()), done: HashSet::new(), bytes: 0 };
    let mut failure = None;
    let mut copied = |ids: &mut dyn Iterator<Item = ObjectId>| -> bool {
        for id in ids {
            match copier.copy(id) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    failure.get_or_insert(error);
                    return false;
                }
            }
        }
        true
    };
    let entries = marks.tables.entries();
    let before = packs.len();
    packs.retain(|pack| copied(&mut pack.live.iter().map(|number| entries[*number].id)));
    let damaged = (before - packs.len()) as u64;
    loose.retain(|loose| !loose.live || copied(&mut std::iter::once(loose.id)));
    if let Some(error) = failure {
        return Err(error);
    }
    let mut done = Done { damaged, bytes: copier.bytes, ..Done::default() };
    for packed in copier.packer.finish()? {
        done.written.insert(packed.id);
    }
    done.packs = done.written.len() as u64;
    copier.packer.sync()?;
    copier.packer.publish(store.packs.dir())?;
    files::sync_dir(store.packs.dir())?;
    files::sync_dir(store.path())?;
    Ok(done)
}

struct Copier<'s> {
    store: &'s Store,
    packer: Packer,
    done: HashSet<ObjectId>,
    bytes: u64,
}

impl Copier<'_> {
    /// Copies a good copy of the object; says whether there is one.
    fn copy(&mut self, id: ObjectId) -> Result<bool, StoreError> {
        if self.done.contains(&id) {
            return Ok(true);
        }
        let bytes = match self.store.read(id, u32::MAX.into()) {
            Ok(bytes) => bytes,
            Err(StoreError::Digest { .. } | StoreError::Missing { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        self.packer.append(id, &bytes)?;
        self.bytes += bytes.len() as u64;
        self.done.insert(id);
        Ok(true)
    }
}

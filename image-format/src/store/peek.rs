//! Looking at packs without waiting, for a server that answers from memory.

use super::extent::ObjectExtent;
use super::packs::Tables;
use super::{Store, StoreError};
use crate::ObjectId;
use crate::store::read::open_entry;

/// What the packs of a store held at one moment. Its objects stay readable while it lives, whatever becomes of the store.
#[derive(Clone)]
pub struct PacksView(std::sync::Arc<Tables>);

impl std::fmt::Debug for PacksView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PacksView").finish_non_exhaustive()
    }
}

impl Store {
    /// What the packs hold now. Reads what has changed in their directory since the last look, and nothing else.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn packs_view(&self) -> Result<PacksView, StoreError> {
        self.packs.now().map(PacksView)
    }
}

impl PacksView {
    /// The object, if it is in a pack that is kept open: no system call.
    pub fn peek(&self, id: ObjectId) -> Option<ObjectExtent> {
        self.0.find(id).iter().find_map(|entry| {
            let file = self.0.pack(entry).kept_open()?;
            Some(ObjectExtent { file, offset: entry.offset, len: entry.len.into() })
        })
    }

    /// The object, if it is in a pack. Opens packs that are not kept open.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::NotAFile`].
    pub fn open(&self, id: ObjectId) -> Result<Option<ObjectExtent>, StoreError> {
        self.0.find(id).iter().find_map(|entry| open_entry(&self.0, entry).transpose()).transpose()
    }
}

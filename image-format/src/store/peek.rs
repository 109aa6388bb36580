//! Looking for objects without waiting: for a server that answers from what it knows.

use super::{Store, StoreError};
use crate::ObjectId;
use crate::store::ObjectExtent;

impl Store {
    /// The object, if it lies in a pack that was there at the last look and is kept open. Costs no system call. Its bytes are good
    /// even if somebody has collected the pack since; that it is not found here says nothing: [`Store::open_object`] does.
    pub fn peek(&self, id: ObjectId) -> Option<ObjectExtent> {
        let tables = self.packs.last();
        tables.find(id).iter().find_map(|entry| {
            let file = tables.pack(entry).kept_open()?;
            Some(ObjectExtent { file, offset: entry.offset, len: entry.len.into() })
        })
    }

    /// Looks whether packs have come or gone: whoever only ever [peeks](Store::peek) would keep open what others have collected.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn look_again(&self) -> Result<(), StoreError> {
        self.packs.now().map(drop)
    }
}

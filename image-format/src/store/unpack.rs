//! Taking packs apart, for tests that damage single objects.

use super::read::open_entry;
use super::{Store, StoreError};

impl Store {
    /// Gives every object a file of its own, and removes the packs. Not durable.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn unpack(&self) -> Result<(), StoreError> {
        let tables = self.packs.now()?;
        for entry in tables.entries() {
            let Some(extent) = open_entry(&tables, entry)? else { continue };
            let path = self.object_file(entry.id);
            let mut bytes = vec![0; extent.len as usize];
            let copied = std::os::unix::fs::FileExt::read_exact_at(&*extent.file, &mut bytes, extent.offset)
                .and_then(|()| std::fs::create_dir_all(path.parent().unwrap_or(&path)))
                .and_then(|()| std::fs::write(&path, bytes));
            copied.map_err(|source| StoreError::io("unpack", &path, source))?;
        }
        for pack in tables.packs() {
            let path = &pack.path;
            std::fs::remove_file(path).map_err(|source| StoreError::io("remove", path, source))?;
        }
        self.packs.now().map(drop)
    }
}

//! Parsed indexes, the recently used ones: a batch request reads no index from disk.

use std::sync::{Arc, Mutex, PoisonError};

use image_format::ObjectId;
use image_format::index::{INDEX_MAX, Index, IndexError};
use image_format::store::{Store, StoreError};

/// Memory for parsed indexes, in bytes, about: a fleet has a handful of images at a time.
const CACHE_MAX: usize = 64 << 20;

/// See the module.
#[derive(Debug, Default)]
pub struct Indexes {
    /// Least recently used first.
    cached: Mutex<Vec<(ObjectId, Arc<Index>)>>,
}

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
pub enum IndexUnusable {
    /// It cannot be read.
    #[error("index {id} cannot be read")]
    Read {
        /// Which.
        id: ObjectId,
        /// Why.
        source: StoreError,
    },
    /// It is no index.
    #[error("index {id} cannot be understood")]
    Parse {
        /// Which.
        id: ObjectId,
        /// Why.
        source: IndexError,
    },
}

impl Indexes {
    /// The index `id` from memory or from `store`. Blocks; whoever asks for the same meanwhile waits for the one read.
    ///
    /// # Errors
    /// [`IndexUnusable`].
    pub fn get(&self, store: &Store, id: ObjectId) -> Result<Arc<Index>, IndexUnusable> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let index = match cached.iter().position(|(cached, _)| *cached == id) {
            Some(position) => cached.remove(position).1,
            None => {
                let bytes = store.read(id, INDEX_MAX).map_err(|source| IndexUnusable::Read { id, source })?;
                Arc::new(Index::parse(&bytes).map_err(|source| IndexUnusable::Parse { id, source })?)
            }
        };
        cached.push((id, index.clone()));
        let size = |index: &Index| size_of_val(index.entries());
        let mut total: usize = cached.iter().map(|(_, index)| size(index)).sum();
        while total > CACHE_MAX && cached.len() > 1 {
            total -= size(&cached.remove(0).1);
        }
        Ok(index)
    }
}

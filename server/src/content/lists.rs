//! The numbered objects that a batch can ask for: the entries of an index, or the segments of a segment table. Those used
//! recently are kept, so that a batch request reads none of them from disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use image_format::ObjectId;
use image_format::index::{INDEX_MAX, Index, IndexError};
use image_format::patch::{PatchError, SegmentTable, TABLE_MAX};
use image_format::store::{Store, StoreError};

/// Memory for lists, in bytes: a fleet has a handful of images at a time.
const CACHE_MAX: usize = 64 << 20;

/// What a list is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// The index of an image's root.
    Index,
    /// The segment table of a patch or of a whole stream.
    SegmentTable,
}

/// A stored object of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub object: ObjectId,
    /// Its length in bytes; 0 for a run of zeros, which is not stored.
    pub length: u32,
}

/// A list that can be shared.
pub type List = Arc<[Listed]>;

/// See the module.
#[derive(Debug, Default)]
pub struct Lists {
    /// Least recently used first.
    cached: Mutex<Cached>,
}

type Cached = Vec<(ObjectId, List)>;

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ListUnusable {
    /// It cannot be read.
    #[error("list {id} cannot be read")]
    Read {
        /// Which.
        id: ObjectId,
        /// Why.
        source: StoreError,
    },
    /// It is no index.
    #[error("index {id} cannot be understood")]
    Index {
        /// Which.
        id: ObjectId,
        /// Why.
        source: IndexError,
    },
    /// It is no segment table.
    #[error("segment table {id} cannot be understood")]
    SegmentTable {
        /// Which.
        id: ObjectId,
        /// Why.
        source: PatchError,
    },
}

impl Lists {
    /// The list `id`, if it is in memory and nobody is reading one just now.
    pub fn peek(&self, id: ObjectId) -> Option<List> {
        let cached = match self.cached.try_lock() {
            Ok(cached) => cached,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        take(cached, id)
    }

    /// The list `id` from memory or from `store`. Blocks; whoever asks for the same meanwhile waits for the one read.
    ///
    /// # Errors
    /// [`ListUnusable`].
    pub fn get(&self, store: &Store, id: ObjectId, kind: ListKind) -> Result<List, ListUnusable> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = cached.iter().position(|(cached, _)| *cached == id) {
            let found = cached.remove(position);
            cached.push(found.clone());
            return Ok(found.1);
        }
        let list = read(store, id, kind)?;
        cached.push((id, list.clone()));
        let mut total: usize = cached.iter().map(|(_, list)| size_of_val::<[Listed]>(list)).sum();
        while total > CACHE_MAX && cached.len() > 1 {
            total -= size_of_val::<[Listed]>(&cached.remove(0).1);
        }
        Ok(list)
    }
}

fn take(mut cached: MutexGuard<'_, Cached>, id: ObjectId) -> Option<List> {
    let position = cached.iter().position(|(cached, _)| *cached == id)?;
    let last = cached.len() - 1;
    cached[position..=last].rotate_left(1);
    Some(cached[last].1.clone())
}

fn read(store: &Store, id: ObjectId, kind: ListKind) -> Result<List, ListUnusable> {
    let bytes = |max| store.read(id, max).map_err(|source| ListUnusable::Read { id, source });
    Ok(match kind {
        ListKind::Index => {
            let index = Index::parse(&bytes(INDEX_MAX)?);
            let index = index.map_err(|source| ListUnusable::Index { id, source })?;
            let listed =
                index.entries().iter().map(|entry| Listed { object: entry.object, length: entry.stored_len });
            listed.collect()
        }
        ListKind::SegmentTable => {
            let table = SegmentTable::parse(&bytes(TABLE_MAX)?);
            let table = table.map_err(|source| ListUnusable::SegmentTable { id, source })?;
            let listed = table.segments().iter();
            listed.map(|segment| Listed { object: segment.object, length: segment.stored_len }).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use image_format::index::Entry;
    use image_format::{BLOCK, ChunkId};

    use super::*;

    #[test]
    fn lists_come_from_memory_after_the_first_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let lists = Lists::default();
        let object = ObjectId::of(b"stored");
        let block = u32::try_from(BLOCK).unwrap();
        let entry = Entry { chunk: ChunkId::of(b"plain"), object, plain_len: block, stored_len: 6 };
        let index = Index::new(vec![entry, Entry::zero(block)]).unwrap().encode();
        let mut batch = store.batch().unwrap();
        let (id, other) = (batch.put(&index).unwrap().id, batch.put(b"something else").unwrap().id);
        batch.commit().unwrap();

        assert!(lists.peek(id).is_none());
        let list = lists.get(&store, id, ListKind::Index).unwrap();
        assert_eq!(list[0], Listed { object, length: 6 });
        assert_eq!((list.len(), list[1].length), (2, 0));
        assert!(Arc::ptr_eq(&lists.peek(id).unwrap(), &list));
        assert!(matches!(lists.get(&store, other, ListKind::Index), Err(ListUnusable::Index { .. })));
        let lists = Lists::default();
        assert!(matches!(
            lists.get(&store, id, ListKind::SegmentTable),
            Err(ListUnusable::SegmentTable { .. })
        ));
        let missing = lists.get(&store, object, ListKind::Index);
        assert!(matches!(missing, Err(ListUnusable::Read { source: StoreError::Missing { .. }, .. })));
    }
}

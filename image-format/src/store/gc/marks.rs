//! Which objects something refers to.

use std::collections::HashSet;
use std::sync::Arc;

use crate::ObjectId;
use crate::store::packs::Tables;
use crate::store::{Store, StoreError};

/// The objects of a store, as they were when this was made: a bit for each one in a pack, an id for each other.
pub(crate) struct Marks {
    pub(super) tables: Arc<Tables>,
    packed: Vec<u64>,
    others: HashSet<ObjectId>,
    count: u64,
}

impl Marks {
    pub(crate) fn new(store: &Store) -> Result<Self, StoreError> {
        let tables = store.packs.now()?;
        let packed = vec![0; tables.entries().len().div_ceil(64)];
        Ok(Self { tables, packed, others: HashSet::new(), count: 0 })
    }

    /// Something refers to this object.
    pub(crate) fn mark(&mut self, id: ObjectId) {
        let range = self.tables.range(id);
        let new = match range.is_empty() {
            true => self.others.insert(id),
            false => !self.is_set(range.start),
        };
        for number in range {
            self.packed[number / 64] |= 1 << (number % 64);
        }
        self.count += u64::from(new);
    }

    /// Objects that were marked.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Objects that were marked and are in no pack.
    pub(super) fn others(&self) -> u64 {
        self.others.len() as u64
    }

    pub(super) fn is_set(&self, number: usize) -> bool {
        self.packed[number / 64] >> (number % 64) & 1 == 1
    }

    pub(crate) fn is_marked(&self, id: ObjectId) -> bool {
        let range = self.tables.range(id);
        if range.is_empty() { self.others.contains(&id) } else { self.is_set(range.start) }
    }
}

//! Looking for damage: every copy of every object is read and compared with its digest.
//!
//! In small steps, so that a server can do it all the time without anybody noticing. A damaged object is moved out of the way, to
//! `quarantine/<id>`: what is not there is fetched again by publishers and from other servers, what is wrong is not. A pack is
//! written again without its damaged objects, with good ones from another store in their place if there is one; of a pack whose
//! table is damaged every object that can still be told is saved.
//!
//! The page cache is told to forget what is read, so that it is the disk that is looked at. Nobody else need stop meanwhile; nothing
//! good is ever gone, nor after a crash at any moment. What lies in `quarantine/` is for people, who may remove it.

mod hashing;
mod mend;
mod walk;

use self::hashing::Hashing;
use self::walk::{Found, PackScan, Walk};
use super::{Store, StoreError};
use crate::ObjectId;

/// Most damaged objects that are named in a report; all are counted.
const NAMED_MAX: usize = 1000;

/// Where good bytes of a damaged object come from: its id and its size, if that is known. What is returned is compared with the id.
pub type Repair<'r> = dyn FnMut(ObjectId, Option<u64>) -> Option<Vec<u8>> + 'r;

/// What a pass has found and done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Scrubbed {
    /// Copies of objects that were read.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Copies that are damaged.
    pub damaged: u64,
    /// Packs whose table is damaged, and files that are none.
    pub bad_packs: u64,
    /// Files that were moved to, or written in, `quarantine/`.
    pub quarantined: u64,
    /// Damaged copies whose object is there again, whole.
    pub repaired: u64,
    /// The first damaged objects.
    pub named: Vec<ObjectId>,
}

/// One pass through a store.
#[derive(Debug)]
pub struct Scrub {
    store: Store,
    /// Damage is moved away and repaired, not only found.
    mend: bool,
    walk: Walk,
    current: Option<(Hashing, Place)>,
    report: Scrubbed,
}

/// Where the object that is being read lies.
#[derive(Debug)]
enum Place {
    Loose,
    Packed(PackScan),
}

impl Scrub {
    /// A pass that moves damage away.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the packs cannot be listed.
    pub fn new(store: &Store) -> Result<Self, StoreError> {
        let walk = Walk::new(store)?;
        Ok(Self { store: store.clone(), mend: true, walk, current: None, report: Scrubbed::default() })
    }

    /// A pass that changes nothing.
    ///
    /// # Errors
    /// As [`Scrub::new`].
    pub fn check_only(store: &Store) -> Result<Self, StoreError> {
        Ok(Self { mend: false, ..Self::new(store)? })
    }

    /// Reads about `budget` bytes more, and deals with what is found. Returns whether the pass is over.
    ///
    /// # Errors
    /// [`StoreError::Io`]: no damage of an object, but a disk that is full or cannot be written. The next step goes on behind it.
    pub fn step(&mut self, budget: u64, repair: &mut Repair<'_>) -> Result<bool, StoreError> {
        let mut left = budget.max(1);
        while left > 0 {
            let Some((mut hashing, place)) = self.current.take() else {
                match self.walk.next(&self.store)? {
                    None => return Ok(true),
                    Some(found) => self.begin(found, repair)?,
                }
                continue;
            };
            let read = hashing.step(left);
            left -= read.min(left);
            self.report.bytes += read;
            match hashing.verdict() {
                None => self.current = Some((hashing, place)),
                Some(good) => self.judged(hashing.id(), good, place, repair)?,
            }
        }
        Ok(false)
    }

    /// What was found up to now.
    pub fn report(&self) -> &Scrubbed {
        &self.report
    }

    fn begin(&mut self, found: Found, repair: &mut Repair<'_>) -> Result<(), StoreError> {
        match found {
            Found::Object(id, extent) => self.current = Some((Hashing::new(id, extent), Place::Loose)),
            // A link, a FIFO: whatever stands in an object's place is damage.
            Found::NoFile(id) => {
                self.count(id, false);
                self.mend_loose(id, repair)?;
            }
            Found::Pack(scan) => self.next_in(scan, repair)?,
            Found::BadPack(path) => {
                self.report.bad_packs += 1;
                self.mend_table(&path)?;
            }
        }
        Ok(())
    }

    fn judged(
        &mut self,
        id: ObjectId,
        good: bool,
        place: Place,
        repair: &mut Repair<'_>,
    ) -> Result<(), StoreError> {
        self.count(id, good);
        match place {
            Place::Loose if good => Ok(()),
            Place::Loose => self.mend_loose(id, repair),
            Place::Packed(mut scan) => {
                scan.judge(good);
                self.next_in(scan, repair)
            }
        }
    }

    fn next_in(&mut self, mut scan: PackScan, repair: &mut Repair<'_>) -> Result<(), StoreError> {
        match scan.next() {
            Some((id, extent)) => {
                self.current = Some((Hashing::new(id, extent), Place::Packed(scan)));
                Ok(())
            }
            None if scan.damaged().is_empty() => Ok(()),
            None => self.mend_pack(&scan, repair),
        }
    }

    fn count(&mut self, id: ObjectId, good: bool) {
        self.report.objects += 1;
        if !good {
            self.report.damaged += 1;
            if self.report.named.len() < NAMED_MAX {
                self.report.named.push(id);
            }
        }
    }
}

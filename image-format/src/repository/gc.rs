//! Removing what nobody needs from a store.
//!
//! Referred to is what the current metadata names, images with all their chunks, patches with all their segments; what was replaced
//! within the grace period; and what the caller keeps besides. All else goes when it is old, see [`crate::store`]'s collection.
//!
//! A commit that comes between the marking and the removal is noticed: the removal has the turn of a commit, and what is published
//! by then is marked too. A commit that comes later finds out what it lacks, and is refused.

use std::time::Duration;

use super::names::TIMESTAMP;
use super::{CollectError, Repository, load_view, references};
use crate::Manifest;
use crate::manifest::ObjectRef;
use crate::store::gc::{Candidates, Marks, cutoff};
use crate::store::{Collected, Store, StoreError};

/// How long a new pack is there before an old one goes: longer than a reader needs to list them, and than a tick of a file system's
/// clock.
const OVERLAP: Duration = Duration::from_millis(30);

/// What to collect.
#[derive(Debug, Clone, Copy)]
pub struct Collection<'a> {
    /// What was stored, touched or replaced within this time stays.
    pub grace: Duration,
    /// Images that are not published and stay: those that wait to be signed.
    pub keep: &'a [Manifest],
    /// Change nothing.
    pub dry_run: bool,
}

impl Collection<'_> {
    /// Collects. Other processes may read, publish and collect in the same store meanwhile.
    ///
    /// # Errors
    /// [`CollectError`]; nothing that is referred to is gone in any case, nor after a crash at any moment.
    pub fn run(&self, store: &Store) -> Result<Collected, CollectError> {
        let repository = Repository::open(store);
        let cutoff = cutoff(store, self.grace)?;
        let (timestamp, marks) = self.mark(&repository, cutoff.0)?;
        let candidates = Candidates::find(store, &marks, cutoff)?;
        if self.dry_run {
            return Ok(candidates.forecast());
        }
        let work = candidates.repack(store, &marks)?;
        std::thread::sleep(OVERLAP);
        let _turn = repository.take_turn()?;
        if repository.read_metadata(TIMESTAMP)? == timestamp {
            return Ok(work.remove(store, &marks, |_| true)?);
        }
        let (_, now) = self.mark(&repository, cutoff.0)?;
        Ok(work.remove(store, &marks, |id| !now.is_marked(id))?)
    }

    /// What is referred to, and the timestamp that says so.
    fn mark(
        &self,
        repository: &Repository<'_>,
        since: std::time::SystemTime,
    ) -> Result<(Option<Vec<u8>>, Marks), CollectError> {
        let store = repository.store;
        let mut marks = Marks::new(store)?;
        let timestamp = repository.read_metadata(TIMESTAMP)?;
        let view = load_view(store)?.ok_or(CollectError::NothingPublished)?;
        let mut found = |object: ObjectRef| marks.mark(object.id);
        references::of_view(store, &view, &mut found)?;
        for manifest in self.keep {
            match references::of_image(store, manifest, &mut found) {
                // Nobody can sign it: there is nothing more to keep.
                Err(CollectError::Read { source: StoreError::Missing { .. }, .. }) => {}
                marked => marked?,
            }
        }
        references::of_earlier(repository, &view, since, &mut found)?;
        Ok((timestamp, marks))
    }
}

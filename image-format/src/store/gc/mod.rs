//! Removing objects that nothing refers to.
//!
//! What refers to objects is not known here: the caller marks them ([`Marks`]), see [`crate::repository`]. What is then left is
//! removed if it is old: neither stored nor touched within the grace period, nor since the oldest live lease began.
//!
//! A pack in which nothing is left goes; one that is dead by a third is written again without that, and so are many small packs
//! and small objects in files of their own, together. New packs are durable and visible before an old one goes; whoever has an
//! old one open reads on.

mod found;
mod marks;
mod repack;
mod sweep;

use std::time::{Duration, SystemTime};

pub(crate) use self::marks::Marks;
pub(crate) use self::sweep::Candidates;
use super::{Store, StoreError};

/// File systems tell the time in ticks: what seems to be older by less than this may be younger.
const TICK: Duration = Duration::from_secs(1);

/// What a collection found and did. In a dry run: what it would have done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Collected {
    /// Objects that something refers to.
    pub referenced: u64,
    /// Those of them that are not in the store.
    pub missing: u64,
    /// Objects that nothing refers to and that are too young to go.
    pub young: u64,
    /// Live leases.
    pub leases: u64,
    /// Objects that nothing referred to and that are gone.
    pub removed_objects: u64,
    /// Objects' own files that are gone.
    pub removed_files: u64,
    /// Packs that are gone, the rewritten ones among them.
    pub removed_packs: u64,
    /// Packs that were written.
    pub new_packs: u64,
    /// Packs that should have been rewritten, and hold a damaged object: a scrub is due.
    pub damaged_packs: u64,
    /// Packs that should have been rewritten, for which the disk has no room: the next collection finds some.
    pub postponed_packs: u64,
    /// Bytes on disk: removed less written.
    pub freed_bytes: i64,
}

/// The time before which something is old.
pub(crate) fn cutoff(store: &Store, grace: Duration) -> Result<(SystemTime, u64), StoreError> {
    let (oldest, leases) = store.leases()?;
    let now = SystemTime::now();
    let cutoff = now.checked_sub(grace.max(TICK)).unwrap_or(SystemTime::UNIX_EPOCH);
    let lease = oldest.map(|since| since.checked_sub(TICK).unwrap_or(SystemTime::UNIX_EPOCH));
    Ok((lease.map_or(cutoff, |lease| lease.min(cutoff)), leases))
}

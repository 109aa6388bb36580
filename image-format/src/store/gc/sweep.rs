//! What goes, what is written again, and doing it.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::FlockOperation;

use super::found::{Loose, Pack};
use super::repack::repack;
use super::{Collected, Marks};
use crate::ObjectId;
use crate::store::pack::{PACKED_MAX, PackId};
use crate::store::{Store, StoreError, files};

/// A pack is written again when at least one part in so many of its bytes is dead.
const DEAD_PART: u64 = 3;

/// Packs below this size are put together, if there are many.
const SMALL_PACK: u64 = 16 << 20;

/// So many small packs, or small objects in files of their own, are too many.
const MANY: usize = 32;

/// Files removed at a time, while nobody can touch them.
const REMOVE_AT_ONCE: usize = 64;

/// What seems to be old, before anything is changed.
pub(crate) struct Candidates {
    cutoff: SystemTime,
    /// Files that nothing refers to, and those that are in the way of fewer files.
    loose: Vec<Loose>,
    packs: Vec<Pack>,
    report: Collected,
}

/// What a collection has still to do: everything is where it was, and live objects have been copied.
pub(crate) struct Work {
    candidates: Candidates,
    report: Collected,
}

#[derive(Default)]
struct Census {
    live: Vec<usize>,
    live_bytes: u64,
    dead: u64,
    dead_bytes: u64,
}

impl Candidates {
    /// Looks through the store. Changes nothing.
    pub(crate) fn find(
        store: &Store,
        marks: &Marks,
        (cutoff, leases): (SystemTime, u64),
    ) -> Result<Self, StoreError> {
        let report = Collected { referenced: marks.count(), leases, ..Collected::default() };
        let mut found = Self { cutoff, loose: Vec::new(), packs: Vec::new(), report };
        found.look_at_files(store, marks)?;
        found.look_at_packs(marks)?;
        Ok(found)
    }

    fn look_at_files(&mut self, store: &Store, marks: &Marks) -> Result<(), StoreError> {
        let mut small = Vec::new();
        let mut present = 0;
        for item in store.loose() {
            // What is no object is not ours.
            let Ok(id) = item else { continue };
            let path = store.object_file(id);
            let Some(metadata) = metadata(&path)? else { continue };
            let live = marks.is_marked(id);
            present += u64::from(live && marks.tables.find(id).is_empty());
            let loose = Loose { id, path, len: metadata.len(), live };
            match is_old(&metadata, &loose.path, self.cutoff)? {
                true if !live => self.loose.push(loose),
                true if loose.len < PACKED_MAX => small.push(loose),
                true => {}
                false => self.report.young += u64::from(!live),
            }
        }
        self.report.missing = marks.others() - present;
        if small.len() >= MANY {
            self.loose.extend(small);
        }
        Ok(())
    }

    fn look_at_packs(&mut self, marks: &Marks) -> Result<(), StoreError> {
        let tables = &marks.tables;
        let mut census: HashMap<PackId, Census> = HashMap::new();
        for (number, entry) in tables.entries().iter().enumerate() {
            let pack = census.entry(tables.pack(entry).id).or_default();
            if marks.is_set(number) {
                pack.live.push(number);
                pack.live_bytes += u64::from(entry.len);
            } else {
                // One that is in several packs is counted once.
                pack.dead += u64::from(number == tables.range(entry.id).start);
                pack.dead_bytes += u64::from(entry.len);
            }
        }
        let mut small = Vec::new();
        for (id, path) in tables.packs().iter().map(|pack| (pack.id, &pack.path)) {
            let Some(metadata) = metadata(path)? else { continue };
            let Census { live, live_bytes, dead, dead_bytes } = census.remove(&id).unwrap_or_default();
            if !is_old(&metadata, path, self.cutoff)? {
                self.report.young += dead;
                continue;
            }
            let pack = Pack { id, path: path.clone(), len: metadata.len(), live, dead };
            if pack.live.is_empty() || dead_bytes * DEAD_PART >= live_bytes + dead_bytes {
                self.packs.push(pack);
            } else if pack.len < SMALL_PACK {
                small.push(pack);
            }
        }
        if small.len() >= MANY {
            self.packs.extend(small);
        }
        Ok(())
    }

    /// What would be done.
    pub(crate) fn forecast(self) -> Collected {
        let live: u64 = self.packs.iter().map(|pack| pack.live.len() as u64).sum();
        let mut work = Work { report: self.report, candidates: self };
        work.report.new_packs = u64::from(live > 0);
        for loose in std::mem::take(&mut work.candidates.loose) {
            work.count_file(&loose);
        }
        for pack in std::mem::take(&mut work.candidates.packs) {
            work.count_pack(&pack);
        }
        work.report
    }

    /// Writes the packs that replace others. The old ones are still there.
    pub(crate) fn repack(self, store: &Store, marks: &Marks) -> Result<Work, StoreError> {
        let mut work = Work { report: self.report, candidates: self };
        let Candidates { loose, packs, .. } = &mut work.candidates;
        let done = match repack(store, marks, loose, packs) {
            Err(error) if error.is_full() => {
                // There is room when what is dead is gone.
                let before = packs.len();
                packs.retain(|pack| pack.live.is_empty());
                loose.retain(|loose| !loose.live);
                work.report.postponed_packs = (before - packs.len()) as u64;
                return Ok(work);
            }
            done => done?,
        };
        work.report.new_packs = done.packs;
        work.report.freed_bytes -= done.bytes.cast_signed();
        work.report.damaged_packs = done.damaged;
        // A pack that was written again as it was keeps its name.
        work.candidates.packs.retain(|pack| !done.written.contains(&pack.id));
        Ok(work)
    }
}

impl Work {
    /// Removes what is still old and, by `still_dead`, still not referred to.
    pub(crate) fn remove(
        mut self,
        store: &Store,
        marks: &Marks,
        still_dead: impl Fn(ObjectId) -> bool,
    ) -> Result<Collected, StoreError> {
        let loose = std::mem::take(&mut self.candidates.loose);
        for some in loose.chunks(REMOVE_AT_ONCE) {
            let _guard = store.lock_leases(FlockOperation::LockExclusive)?;
            for loose in some.iter().filter(|loose| loose.live || still_dead(loose.id)) {
                if self.remove_if_old(&loose.path)? {
                    self.count_file(loose);
                }
            }
        }
        let packs = std::mem::take(&mut self.candidates.packs);
        let mut going: HashSet<PackId> = packs.iter().map(|pack| pack.id).collect();
        for (number, entry) in marks.tables.entries().iter().enumerate() {
            if !marks.is_set(number) && !still_dead(entry.id) {
                going.remove(&marks.tables.pack(entry).id);
            }
        }
        for pack in packs.into_iter().filter(|pack| going.contains(&pack.id)) {
            let _guard = store.lock_leases(FlockOperation::LockExclusive)?;
            if self.remove_if_old(&pack.path)? {
                self.count_pack(&pack);
            }
        }
        Ok(self.report)
    }

    /// Somebody may have touched it in the meantime.
    fn remove_if_old(&self, path: &Path) -> Result<bool, StoreError> {
        let Some(metadata) = metadata(path)? else { return Ok(false) };
        let old = is_old(&metadata, path, self.candidates.cutoff)?;
        if old {
            files::remove(path)?;
        }
        Ok(old)
    }

    fn count_file(&mut self, loose: &Loose) {
        self.report.removed_files += 1;
        self.report.removed_objects += u64::from(!loose.live);
        self.report.freed_bytes += loose.len.cast_signed();
    }

    fn count_pack(&mut self, pack: &Pack) {
        self.report.removed_packs += 1;
        self.report.removed_objects += pack.dead;
        self.report.freed_bytes += pack.len.cast_signed();
    }
}

fn metadata(path: &Path) -> Result<Option<Metadata>, StoreError> {
    match std::fs::symlink_metadata(path) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        metadata => metadata.map(Some).map_err(|source| StoreError::io("stat", path, source)),
    }
}

fn is_old(metadata: &Metadata, path: &Path, cutoff: SystemTime) -> Result<bool, StoreError> {
    let changed = metadata.modified().map_err(|source| StoreError::io("stat", path, source))?;
    Ok(changed < cutoff)
}

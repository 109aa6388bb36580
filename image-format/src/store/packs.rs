//! What all packs of a store hold, in memory: 48 bytes an object.
//!
//! Other processes add and remove packs. The directory's inode and time of change tell whether to list it again; it is looked at
//! when an object is not found, and else at most every [`LOOK_EVERY`]. So what somebody has published is found at once, and what
//! somebody has collected is let go of soon.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;

use super::pack::{self, PackError, PackId};
use super::{StoreError, entries, files};
use crate::ObjectId;

/// How long the directory is believed to be unchanged while everything is found.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A directory that has changed this short a time before it was listed may have changed again within the same tick of the file
/// system's clock.
const RACY: Duration = Duration::from_secs(2);

/// Times that the directory is listed while it keeps changing.
const ATTEMPTS: u32 = 5;

/// Packs that stay open. More are opened when they are read: a process may have 1024 files.
const OPEN_MAX: usize = 256;

/// The packs of one store, shared by its clones.
pub(super) struct Packs {
    dir: PathBuf,
    state: RwLock<State>,
    /// Held by the one that lists the directory.
    listing: Mutex<()>,
}

#[derive(Default)]
struct State {
    tables: Arc<Tables>,
    stamp: Option<Stamp>,
    looked: Option<Instant>,
}

/// What tells that a directory has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    changed: (i64, i64),
    /// Too young to say that nothing has changed since.
    racy: bool,
}

/// All objects in packs.
#[derive(Default)]
pub(super) struct Tables {
    packs: Vec<Arc<Pack>>,
    /// Sorted by id; an object may be in several packs.
    rows: Vec<Entry>,
    /// Files that are no usable packs.
    pub(super) bad: Vec<(PathBuf, Arc<PackError>)>,
    /// What else lies there.
    pub(super) strays: Vec<PathBuf>,
}

/// A pack that can be read.
pub(super) struct Pack {
    pub(super) id: PackId,
    pub(super) path: PathBuf,
    inode: u64,
    file: Option<Arc<File>>,
}

/// An object in a pack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) id: ObjectId,
    pub(super) offset: u64,
    pub(super) len: u32,
    pack: u32,
}

impl std::fmt::Debug for Packs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packs").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Packs {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, state: RwLock::default(), listing: Mutex::default() }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// As they were at the last look, whenever that was.
    pub(super) fn last(&self) -> Arc<Tables> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).tables.clone()
    }

    /// As they were a moment ago: for one who looks again when he misses something.
    pub(super) fn recent(&self) -> Result<Arc<Tables>, StoreError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        match state.looked {
            Some(looked) if looked.elapsed() < LOOK_EVERY => Ok(state.tables.clone()),
            Some(_) => {
                let old = state.tables.clone();
                drop(state);
                // What cannot be listed now is still what it was.
                Ok(self.now().unwrap_or(old))
            }
            None => {
                drop(state);
                self.now()
            }
        }
    }

    /// As they are now.
    pub(super) fn now(&self) -> Result<Arc<Tables>, StoreError> {
        let stamp = self.stamp()?;
        if let Some(tables) = self.unchanged(stamp) {
            return Ok(tables);
        }
        let _one = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stamp = self.stamp()?;
        if let Some(tables) = self.unchanged(stamp) {
            return Ok(tables);
        }
        let mut tables = self.state.read().unwrap_or_else(PoisonError::into_inner).tables.clone();
        for _ in 0..ATTEMPTS {
            tables = match stamp {
                Some(_) => Arc::new(self.list(&tables)?),
                None => Arc::default(),
            };
            let after = self.stamp()?;
            if Stamp::same(after, stamp) {
                break;
            }
            stamp = after;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        *state = State { tables: tables.clone(), stamp, looked: Some(Instant::now()) };
        Ok(tables)
    }

    /// The tables, if the directory is what it was when they were read.
    fn unchanged(&self, now: Option<Stamp>) -> Option<Arc<Tables>> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.looked?;
        let same = Stamp::same(now, state.stamp) && !state.stamp.is_some_and(|then| then.racy);
        same.then(|| {
            state.looked = Some(Instant::now());
            state.tables.clone()
        })
    }

    fn stamp(&self) -> Result<Option<Stamp>, StoreError> {
        let now = SystemTime::now();
        let metadata = match std::fs::metadata(&self.dir) {
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata.map_err(|source| StoreError::io("stat", &self.dir, source))?,
        };
        let changed = UNIX_EPOCH + Duration::from_secs(metadata.ctime().try_into().unwrap_or(0));
        Ok(Some(Stamp {
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            racy: now.duration_since(changed).map_or(true, |age| age < RACY),
        }))
    }

    fn list(&self, old: &Tables) -> Result<Tables, StoreError> {
        let mut known: HashMap<PackId, (u32, &Arc<Pack>)> = HashMap::new();
        for (number, pack) in (0..).zip(&old.packs) {
            known.insert(pack.id, (number, pack));
        }
        let mut tables = Tables::default();
        // Old number of a pack → its new one.
        let mut renumbered: HashMap<u32, u32> = HashMap::new();
        for path in entries(self.dir.clone()) {
            let path = path?;
            let name = path.file_name().and_then(|name| name.to_str()).and_then(PackId::of_file_name);
            let Some(id) = name else {
                tables.strays.push(path);
                continue;
            };
            let number = u32::try_from(tables.packs.len()).unwrap_or(u32::MAX);
            let inode = std::fs::symlink_metadata(&path).map(|metadata| metadata.ino()).ok();
            if let Some((before, pack)) = known.get(&id).filter(|(_, pack)| Some(pack.inode) == inode) {
                renumbered.insert(*before, number);
                tables.packs.push(Arc::clone(pack));
                continue;
            }
            match load(&path, id, tables.packs.len() < OPEN_MAX) {
                Ok(None) => {}
                Ok(Some((pack, rows))) => {
                    tables.packs.push(Arc::new(pack));
                    tables.rows.extend(rows.into_iter().map(|row| Entry {
                        id: row.id,
                        offset: row.offset,
                        len: row.len,
                        pack: number,
                    }));
                }
                Err(PackError::Io(source)) if is_passing(&source) => {
                    return Err(StoreError::io("open", &path, source));
                }
                Err(error) => tables.bad.push((path, Arc::new(error))),
            }
        }
        let kept = old.rows.iter().filter_map(|row| {
            let pack = *renumbered.get(&row.pack)?;
            Some(Entry { pack, ..*row })
        });
        tables.rows.reserve_exact(if renumbered.is_empty() { 0 } else { old.rows.len() });
        tables.rows.extend(kept);
        // Long sorted runs: merging them is what this sort does.
        tables.rows.sort_by_key(|row| row.id);
        tables.rows.shrink_to_fit();
        Ok(tables)
    }
}

impl Stamp {
    fn same(one: Option<Self>, other: Option<Self>) -> bool {
        let key = |stamp: Self| (stamp.inode, stamp.changed);
        one.map(key) == other.map(key)
    }
}

impl Tables {
    /// Every place of an object.
    pub(super) fn find(&self, id: ObjectId) -> &[Entry] {
        &self.rows[self.range(id)]
    }

    /// Numbers of the entries of an object.
    pub(super) fn range(&self, id: ObjectId) -> Range<usize> {
        let from = self.rows.partition_point(|row| row.id < id);
        let count = self.rows[from..].iter().take_while(|row| row.id == id).count();
        from..from + count
    }

    /// All objects, each once.
    pub(super) fn into_ids(self: Arc<Self>) -> impl Iterator<Item = ObjectId> {
        let mut last = None;
        let ids = (0..self.rows.len()).map(move |number| self.rows[number].id);
        ids.filter(move |id| last.replace(*id) != Some(*id))
    }

    /// Every place of every object, by id.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.rows
    }

    /// All packs that can be read.
    pub(super) fn packs(&self) -> &[Arc<Pack>] {
        &self.packs
    }

    /// The pack of an entry of this table.
    pub(super) fn pack(&self, entry: &Entry) -> &Arc<Pack> {
        &self.packs[entry.pack as usize]
    }
}

impl Pack {
    /// The file, if it stays open.
    pub(super) fn kept_open(&self) -> Option<Arc<File>> {
        self.file.clone()
    }

    /// The open file; `None` when it has been taken away.
    pub(super) fn open(&self) -> Result<Option<Arc<File>>, StoreError> {
        if let Some(file) = &self.file {
            return Ok(Some(file.clone()));
        }
        Ok(files::open_regular(self.path.clone())?.map(|(file, _)| Arc::new(file)))
    }
}

fn load(path: &Path, id: PackId, keep_open: bool) -> Result<Option<(Pack, Vec<pack::Row>)>, PackError> {
    let (file, len) = match files::open_regular(path.to_owned()) {
        Ok(None) => return Ok(None),
        Ok(Some(opened)) => opened,
        Err(StoreError::NotAFile { found, .. }) => return Err(PackError::NotAFile { found }),
        Err(StoreError::Io { source, .. }) => return Err(source.into()),
        Err(other) => return Err(std::io::Error::other(other).into()),
    };
    let rows = pack::read_table(&file, len, id)?;
    let inode = file.metadata()?.ino();
    let file = keep_open.then(|| Arc::new(file));
    Ok(Some((Pack { id, path: path.to_owned(), inode, file }, rows)))
}

/// Whether the same may succeed in a moment: the process or the machine has run out of something.
fn is_passing(error: &std::io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE, Errno::NOMEM]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

//! Inserting objects, many at a time.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::path::Path;

use super::temp::TempDir;
use super::{OBJECTS, Store, StoreError, files};
use crate::ObjectId;
use crate::manifest::ObjectRef;

/// Up to this many new objects are made durable one by one; beyond, the whole file system at once is cheaper.
const SYNC_EACH_MAX: usize = 8;

/// Bytes copied at a time.
const COPY_LEN: usize = 1 << 20;

/// Objects on their way into the store. Nothing of them is visible before [`Batch::commit`]; a batch that is dropped leaves
/// nothing.
#[derive(Debug)]
pub struct Batch<'s> {
    store: &'s Store,
    temp: TempDir,
    /// New objects; each lies in `temp` under its id.
    new: HashMap<ObjectId, u64>,
    counts: Counts,
}

/// What became of an object that was put into a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// Its digest.
    pub id: ObjectId,
    /// Whether it was neither in the store nor in the batch.
    pub new: bool,
}

/// What a batch held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// New objects.
    pub stored: u64,
    /// Their bytes.
    pub stored_bytes: u64,
    /// Objects that were there already, or twice in the batch.
    pub present: u64,
}

impl<'s> Batch<'s> {
    pub(super) fn begin(store: &'s Store) -> Result<Self, StoreError> {
        Ok(Self { store, temp: store.temp_dir()?, new: HashMap::new(), counts: Counts::default() })
    }

    /// Takes an object.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the batch goes on without this object.
    pub fn put(&mut self, bytes: &[u8]) -> Result<Put, StoreError> {
        let id = ObjectId::of(bytes);
        if self.is_known(id, bytes.len() as u64)? {
            self.counts.present += 1;
            return Ok(Put { id, new: false });
        }
        let path = self.temp.path().join(id.to_string());
        files::write_new(&path, bytes).inspect_err(|_| discard(&path))?;
        self.add(id, bytes.len() as u64);
        Ok(Put { id, new: true })
    }

    /// Takes an object whose digest somebody has promised.
    ///
    /// # Errors
    /// [`StoreError::Digest`] when the bytes are others; [`StoreError::Io`].
    pub fn put_expected(&mut self, expected: ObjectId, bytes: &[u8]) -> Result<Put, StoreError> {
        match ObjectId::of(bytes) {
            found if found == expected => self.put(bytes),
            found => Err(StoreError::Digest { expected, found }),
        }
    }

    /// Takes a file's content, of any size, as it is.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::NotAFile`]; the batch goes on without this object.
    pub fn put_file(&mut self, path: &Path) -> Result<ObjectRef, StoreError> {
        let absent = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let opened = files::open_regular(path.to_owned())?;
        let (mut source, _) = opened.ok_or_else(|| StoreError::io("open", path, absent()))?;
        let incoming = self.temp.path().join("incoming");
        let copied = copy_hashing(&mut source, path, &incoming).inspect_err(|_| discard(&incoming))?;
        if self.is_known(copied.id, copied.size)? {
            discard(&incoming);
            self.counts.present += 1;
        } else {
            files::rename(&incoming, &self.temp.path().join(copied.id.to_string()))?;
            self.add(copied.id, copied.size);
        }
        Ok(copied)
    }

    /// Makes everything durable, then visible, then durably visible.
    ///
    /// # Errors
    /// [`StoreError::Io`]. Some of the objects may then be in the store, each of them whole.
    pub fn commit(self) -> Result<Counts, StoreError> {
        if self.new.is_empty() {
            return Ok(self.counts);
        }
        if self.new.len() <= SYNC_EACH_MAX {
            self.new.keys().try_for_each(|id| files::sync_file(&self.temp.path().join(id.to_string())))?;
        } else {
            files::sync_filesystem(self.temp.path())?;
        }
        let mut dirs = BTreeSet::new();
        for id in self.new.keys() {
            let target = self.store.object_file(*id);
            let dir = target.parent().expect("an object lies in a directory").to_owned();
            if !dirs.contains(&dir) {
                files::make_dir(&dir)?;
                dirs.insert(dir);
            }
            files::rename(&self.temp.path().join(id.to_string()), &target)?;
        }
        dirs.iter().try_for_each(|dir| files::sync_dir(dir))?;
        files::sync_dir(&self.store.path().join(OBJECTS))?;
        Ok(self.counts)
    }

    fn add(&mut self, id: ObjectId, size: u64) {
        self.new.insert(id, size);
        self.counts.stored += 1;
        self.counts.stored_bytes += size;
    }

    /// An object of another size, or something else in its place, is damage: it is replaced.
    fn is_known(&self, id: ObjectId, size: u64) -> Result<bool, StoreError> {
        match self.store.size(id) {
            _ if self.new.contains_key(&id) => Ok(true),
            Ok(found) => Ok(found == Some(size)),
            Err(StoreError::NotAFile { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Removes a temporary file that is of no use. If that fails it goes with the directory.
fn discard(path: &Path) {
    #[cfg(test)]
    if super::fault::is_dead() {
        return;
    }
    drop(std::fs::remove_file(path));
}

fn copy_hashing(source: &mut impl Read, from: &Path, to: &Path) -> Result<ObjectRef, StoreError> {
    let mut target = files::create_new(to)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; COPY_LEN];
    let mut size = 0;
    loop {
        let len = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(StoreError::io("read", from, error)),
        };
        hasher.update(&buffer[..len]);
        files::write(&mut target, to, &buffer[..len])?;
        size += len as u64;
    }
    Ok(ObjectRef { id: ObjectId::from_bytes(*hasher.finalize().as_bytes()), size })
}

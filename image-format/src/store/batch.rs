//! Inserting objects, many at a time.

use std::collections::{BTreeSet, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::pack::PACKED_MAX;
use super::packer::Packer;
use super::temp::TempDir;
use super::touch::Toucher;
use super::{OBJECTS, Store, StoreError, files};
use crate::ObjectId;
use crate::manifest::ObjectRef;

/// Up to this many new files are made durable one by one; beyond, the whole file system at once is cheaper.
const SYNC_EACH_MAX: usize = 8;

/// Up to this many small objects become files of their own: a pack for them would cost more than it spares.
const LOOSE_MAX: usize = 2;

/// Bytes copied at a time.
const COPY_LEN: usize = 1 << 20;

/// Objects on their way into the store. Nothing of them is visible before [`Batch::commit`]; a batch that is dropped leaves
/// nothing.
#[derive(Debug)]
pub struct Batch<'s> {
    store: &'s Store,
    temp: TempDir,
    /// All new objects.
    new: HashSet<ObjectId>,
    /// Objects that lie in `temp` under their ids.
    files: Vec<ObjectId>,
    /// The first few small objects, until it is known whether they become a pack.
    small: Vec<(ObjectId, Vec<u8>)>,
    packer: Packer,
    toucher: Toucher,
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
        store.packs.now()?;
        let temp = store.temp_dir()?;
        Ok(Self {
            store,
            packer: Packer::new(temp.path()),
            toucher: Toucher::new(store)?,
            temp,
            new: HashSet::new(),
            files: Vec::new(),
            small: Vec::new(),
            counts: Counts::default(),
        })
    }

    /// Takes an object.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the batch goes on without this object.
    pub fn put(&mut self, bytes: &[u8]) -> Result<Put, StoreError> {
        self.put_hashed(ObjectId::of(bytes), bytes)
    }

    /// Takes an object whose digest somebody has promised.
    ///
    /// # Errors
    /// [`StoreError::Digest`] when the bytes are others; [`StoreError::Io`].
    pub fn put_expected(&mut self, expected: ObjectId, bytes: &[u8]) -> Result<Put, StoreError> {
        match ObjectId::of(bytes) {
            found if found == expected => self.put_hashed(expected, bytes),
            found => Err(StoreError::Digest { expected, found }),
        }
    }

    /// Takes an object whose digest the caller has computed of these very bytes: it is not computed again.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the batch goes on without this object.
    pub fn put_hashed(&mut self, id: ObjectId, bytes: &[u8]) -> Result<Put, StoreError> {
        let size = bytes.len() as u64;
        if self.is_known(id, size)? {
            self.counts.present += 1;
            return Ok(Put { id, new: false });
        }
        if size < PACKED_MAX {
            self.add_small(id, bytes)?;
        } else {
            self.write_file(id, bytes)?;
        }
        self.count(id, size);
        Ok(Put { id, new: true })
    }

    /// Takes a file's content, of any size, as it is.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::NotAFile`]; the batch goes on without this object.
    pub fn put_file(&mut self, path: &Path) -> Result<ObjectRef, StoreError> {
        let absent = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let opened = files::open_regular(path.to_owned())?;
        let (mut source, size) = opened.ok_or_else(|| StoreError::io("open", path, absent()))?;
        if size < PACKED_MAX
            && let Some(bytes) = read_small(&mut source, path)?
        {
            let put = self.put(&bytes)?;
            return Ok(ObjectRef { id: put.id, size: bytes.len() as u64 });
        }
        let incoming = self.temp.path().join("incoming");
        let copied = copy_hashing(&mut source, path, &incoming).inspect_err(|_| discard(&incoming))?;
        if self.is_known(copied.id, copied.size)? {
            discard(&incoming);
            self.counts.present += 1;
        } else {
            files::rename(&incoming, &self.file(copied.id))?;
            self.files.push(copied.id);
            self.count(copied.id, copied.size);
        }
        Ok(copied)
    }

    /// Makes everything durable, then visible, then durably visible.
    ///
    /// # Errors
    /// [`StoreError::Io`]. Some of the objects may then be in the store, each of them whole.
    pub fn commit(mut self) -> Result<Counts, StoreError> {
        if self.new.is_empty() {
            return Ok(self.counts);
        }
        for (id, bytes) in std::mem::take(&mut self.small) {
            self.write_file(id, &bytes)?;
        }
        let packs = self.packer.finish()?.len();
        self.make_durable(packs)?;
        let mut dirs = BTreeSet::new();
        for id in &self.files {
            let target = self.store.object_file(*id);
            let dir = target.parent().expect("an object lies in a directory").to_owned();
            if !dirs.contains(&dir) {
                files::make_dir(&dir)?;
                dirs.insert(dir);
            }
            files::rename(&self.file(*id), &target)?;
        }
        if packs > 0 {
            self.packer.publish(self.store.packs.dir())?;
            dirs.insert(self.store.packs.dir().to_owned());
        }
        dirs.iter().try_for_each(|dir| files::sync_dir(dir))?;
        if !self.files.is_empty() {
            files::sync_dir(&self.store.path().join(OBJECTS))?;
        }
        if packs > 0 {
            // The first pack of an older store: its directory may be new.
            files::sync_dir(self.store.path())?;
        }
        Ok(self.counts)
    }

    fn make_durable(&self, packs: usize) -> Result<(), StoreError> {
        if self.files.len() + packs > SYNC_EACH_MAX {
            return files::sync_filesystem(self.temp.path());
        }
        self.files.iter().try_for_each(|id| files::sync_file(&self.file(*id)))?;
        self.packer.sync()
    }

    /// Appends to the pack; the first few objects wait until there is reason for one.
    fn add_small(&mut self, id: ObjectId, bytes: &[u8]) -> Result<(), StoreError> {
        if self.packer.is_empty() && self.small.len() < LOOSE_MAX {
            self.small.push((id, bytes.to_vec()));
            return Ok(());
        }
        // The latest first: what fails stays where it is.
        while let Some((early, bytes)) = self.small.last() {
            self.packer.append(*early, bytes)?;
            self.small.pop();
        }
        self.packer.append(id, bytes)
    }

    fn write_file(&mut self, id: ObjectId, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.file(id);
        files::write_new(&path, bytes).inspect_err(|_| discard(&path))?;
        self.files.push(id);
        Ok(())
    }

    fn count(&mut self, id: ObjectId, size: u64) {
        self.new.insert(id);
        self.counts.stored += 1;
        self.counts.stored_bytes += size;
    }

    fn file(&self, id: ObjectId) -> PathBuf {
        self.temp.path().join(id.to_string())
    }

    /// An object of another size, or something else in its place, is damage: it is replaced.
    fn is_known(&mut self, id: ObjectId, size: u64) -> Result<bool, StoreError> {
        Ok(self.new.contains(&id) || self.toucher.touch(self.store, id, Some(size))?)
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

/// The content of a file that is small; `None`, and the file rewound, if it has grown.
fn read_small(source: &mut std::fs::File, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    use std::io::Seek;
    let error = |source| StoreError::io("read", path, source);
    let mut bytes = Vec::new();
    (&mut *source).take(PACKED_MAX).read_to_end(&mut bytes).map_err(error)?;
    if (bytes.len() as u64) < PACKED_MAX {
        return Ok(Some(bytes));
    }
    source.rewind().map_err(error)?;
    Ok(None)
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

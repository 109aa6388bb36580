//! What a file system may have kept when the power goes.
//!
//! Assumed is what all journalling file systems give, and no more: a file's content is certain after its fsync, a name after the
//! fsync of its directory, everything after a syncfs; a rename is one step. Before that each operation on names is kept or lost
//! on its own, whatever their order, and of a file that was written any part: nothing, a half, everything.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::store::fault::Done;
use crate::store::tests::scratch;

/// Up to this many combinations of losses, all of them.
const ALL_UP_TO: usize = 1 << 9;
/// Beyond: so many by chance, beside each operation lost alone and each kept alone.
const RANDOM: usize = 24;

/// Number of a file.
type Inode = usize;

/// An operation on names that is not yet certain.
#[derive(Debug, Clone)]
enum Naming {
    Link(PathBuf, Inode),
    Move(PathBuf, PathBuf, Inode),
    Unlink(PathBuf),
    MakeDir(PathBuf),
}

impl Naming {
    /// The path by whose directory the operation becomes certain.
    fn path(&self) -> &Path {
        match self {
            Self::Link(path, _) | Self::Move(_, path, _) | Self::Unlink(path) | Self::MakeDir(path) => path,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Content {
    certain: Vec<u8>,
    now: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct Names {
    files: BTreeMap<PathBuf, Inode>,
    dirs: BTreeSet<PathBuf>,
}

impl Names {
    fn apply(&mut self, naming: &Naming) {
        match naming {
            Naming::Link(path, inode) => drop(self.files.insert(path.clone(), *inode)),
            Naming::Move(from, to, inode) => {
                if self.files.get(from) == Some(inode) {
                    self.files.remove(from);
                }
                self.files.insert(to.clone(), *inode);
            }
            Naming::Unlink(path) => drop(self.files.remove(path)),
            Naming::MakeDir(path) => drop(self.dirs.insert(path.clone())),
        }
    }

    fn reachable(&self, path: &Path) -> bool {
        path.ancestors().skip(1).all(|dir| dir.as_os_str().is_empty() || self.dirs.contains(dir))
    }
}

/// A directory tree, and what of it is certain. Paths are relative to its root.
#[derive(Debug, Clone)]
pub(super) struct Model {
    root: PathBuf,
    contents: Vec<Content>,
    certain: Names,
    now: Names,
    pending: Vec<Naming>,
    dirty: BTreeSet<Inode>,
}

/// A store after a power cut.
pub(super) struct Remains {
    _dir: tempfile::TempDir,
    pub(super) path: PathBuf,
    pub(super) what: String,
}

impl Model {
    /// The tree below `root`, all of it certain.
    pub(super) fn of(root: &Path) -> Self {
        let mut model = Self {
            root: root.to_owned(),
            contents: Vec::new(),
            certain: Names::default(),
            now: Names::default(),
            pending: Vec::new(),
            dirty: BTreeSet::new(),
        };
        model.read(root);
        model.now = model.certain.clone();
        model
    }

    fn read(&mut self, dir: &Path) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = path.strip_prefix(&self.root).unwrap().to_owned();
            if path.is_dir() {
                self.certain.dirs.insert(name);
                self.read(&path);
            } else {
                let content = fs::read(&path).unwrap();
                self.contents.push(Content { certain: content.clone(), now: content });
                self.certain.files.insert(name, self.contents.len() - 1);
            }
        }
    }

    /// What a power cut may leave, at every moment of `done`. Only the moments before something becomes certain are looked at, and
    /// the end: what may be lost earlier may be lost then.
    pub(super) fn cuts(mut self, done: &[Done]) -> Vec<Remains> {
        let mut remains = Vec::new();
        for (number, step) in done.iter().enumerate() {
            let syncs = matches!(step, Done::SyncFile(_) | Done::SyncDir(_) | Done::SyncFilesystem);
            if syncs {
                remains.extend(self.losses(&format!("before operation {number} ({step:?})")));
            }
            self.step(step);
        }
        remains.extend(self.losses("at the end"));
        remains
    }

    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).expect("everything happens in the store").to_owned()
    }

    fn inode(&self, path: &Path) -> Inode {
        self.now.files[&self.relative(path)]
    }

    fn name(&mut self, naming: Naming) {
        // Private directories are made and swept without a note.
        if let Some(dir) = naming.path().parent()
            && dir.starts_with("tmp")
        {
            self.now.dirs.insert(dir.to_owned());
            self.certain.dirs.insert(dir.to_owned());
        }
        self.now.apply(&naming);
        self.pending.push(naming);
    }

    fn step(&mut self, step: &Done) {
        match step {
            Done::Create(path) => {
                self.contents.push(Content::default());
                self.name(Naming::Link(self.relative(path), self.contents.len() - 1));
            }
            Done::Append(path, bytes) => {
                let inode = self.inode(path);
                self.contents[inode].now.extend_from_slice(bytes);
                self.dirty.insert(inode);
            }
            Done::WriteAt(path, offset, bytes) => {
                let inode = self.inode(path);
                let (start, end) = (*offset as usize, *offset as usize + bytes.len());
                let now = &mut self.contents[inode].now;
                now.resize(now.len().max(end), 0);
                now[start..end].copy_from_slice(bytes);
                self.dirty.insert(inode);
            }
            Done::SyncFile(path) => self.make_certain(self.inode(path)),
            Done::SyncDir(path) => {
                let dir = self.relative(path);
                let (certain, pending) = std::mem::take(&mut self.pending)
                    .into_iter()
                    .partition(|naming| naming.path().parent() == Some(&dir));
                self.pending = pending;
                let certain: Vec<Naming> = certain;
                certain.iter().for_each(|naming| self.certain.apply(naming));
            }
            Done::SyncFilesystem => {
                std::mem::take(&mut self.dirty).into_iter().for_each(|inode| self.make_certain(inode));
                self.pending.clear();
                self.certain = self.now.clone();
            }
            Done::Rename(from, to) => {
                let inode = self.inode(from);
                self.name(Naming::Move(self.relative(from), self.relative(to), inode));
            }
            Done::Remove(path) => self.name(Naming::Unlink(self.relative(path))),
            Done::MakeDir(path) => self.name(Naming::MakeDir(self.relative(path))),
        }
    }

    fn make_certain(&mut self, inode: Inode) {
        let content = &mut self.contents[inode];
        content.certain.clone_from(&content.now);
        self.dirty.remove(&inode);
    }

    /// For each pending operation whether it is kept (1), then for each written file what of it: nothing new, a half, all.
    fn losses(&self, when: &str) -> Vec<Remains> {
        let kinds: Vec<u8> = self.pending.iter().map(|_| 2).chain(self.dirty.iter().map(|_| 3)).collect();
        let combinations = kinds.iter().fold(1_usize, |all, kinds| all.saturating_mul(usize::from(*kinds)));
        let choices = if combinations <= ALL_UP_TO { all(&kinds) } else { some(&kinds) };
        choices.iter().map(|choice| self.remains(choice, when)).collect()
    }

    fn remains(&self, choice: &[u8], when: &str) -> Remains {
        let (kept, parts) = choice.split_at(self.pending.len());
        let mut names = self.certain.clone();
        for (naming, _) in self.pending.iter().zip(kept).filter(|(_, kept)| **kept == 1) {
            names.apply(naming);
        }
        let parts: BTreeMap<Inode, u8> = self.dirty.iter().copied().zip(parts.iter().copied()).collect();
        let dir = scratch();
        let path = dir.path().join("store");
        fs::create_dir(&path).unwrap();
        for name in names.dirs.iter().filter(|name| names.reachable(name)) {
            fs::create_dir(path.join(name)).unwrap();
        }
        for (name, inode) in names.files.iter().filter(|(name, _)| names.reachable(name)) {
            let Content { certain, now } = &self.contents[*inode];
            let bytes = match parts.get(inode) {
                Some(0) => certain.as_slice(),
                Some(1) => &now[..certain.len().max(now.len() / 2).min(now.len())],
                _ => now,
            };
            fs::write(path.join(name), bytes).unwrap();
        }
        Remains { _dir: dir, path, what: format!("{when}, {choice:?}") }
    }
}

fn all(kinds: &[u8]) -> Vec<Vec<u8>> {
    kinds.iter().fold(vec![Vec::new()], |choices, kinds| {
        let longer = |choice: &Vec<u8>| {
            (0..*kinds).map(|kind| [choice.as_slice(), &[kind]].concat()).collect::<Vec<_>>()
        };
        choices.iter().flat_map(longer).collect()
    })
}

fn some(kinds: &[u8]) -> Vec<Vec<u8>> {
    let none = vec![0; kinds.len()];
    let every: Vec<u8> = kinds.iter().map(|kinds| kinds - 1).collect();
    let mut choices = vec![none.clone(), every.clone()];
    for place in 0..kinds.len() {
        for kind in 0..kinds[place] {
            for base in [&none, &every] {
                let mut choice = base.clone();
                choice[place] = kind;
                choices.push(choice);
            }
        }
    }
    let mut dice = kinds.len() as u64 | 1;
    for _ in 0..RANDOM {
        let roll = |kinds: &u8| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((dice >> 33) % u64::from(*kinds)) as u8
        };
        choices.push(kinds.iter().map(roll).collect());
    }
    let mut seen = HashSet::new();
    choices.retain(|choice| seen.insert(choice.clone()));
    choices
}

#[test]
fn content_names_and_directories_are_lost_on_their_own() {
    let dir = scratch();
    let root = dir.path().join("store");
    fs::create_dir_all(root.join("a")).unwrap();
    fs::write(root.join("a/old"), "old").unwrap();
    let path = |name: &str| root.join(name);
    let done = [
        Done::Create(path("a/new")),
        Done::Append(path("a/new"), b"12".to_vec()),
        Done::Rename(path("a/new"), path("a/old")),
        Done::SyncDir(path("a")),
    ];
    let read = |remains: &Remains| {
        let read = |name| fs::read_to_string(remains.path.join(name)).ok();
        (read("a/new"), read("a/old"))
    };
    let seen: BTreeSet<_> = Model::of(&root).cuts(&done).iter().map(read).collect();
    let some = |text: &str| Some(text.to_owned());
    let expected = [
        (None, some("old")),
        (some(""), some("old")),
        (some("1"), some("old")),
        (some("12"), some("old")),
        (None, some("")),
        (None, some("1")),
        (None, some("12")),
    ];
    assert_eq!(seen, BTreeSet::from(expected), "a rename before the fsync of the content loses both");
    let synced = [&done[..2], &[Done::SyncFile(path("a/new"))], &done[2..3]].concat();
    let seen: BTreeSet<_> = Model::of(&root).cuts(&synced).iter().map(read).map(|(_, old)| old).collect();
    assert_eq!(seen, BTreeSet::from([some("old"), some("12")]));
}

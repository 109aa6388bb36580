//! The root file system in memory: paths, metadata, and where each file's bytes are.
//!
//! A path is relative to the root and without `./`; the root itself is the empty path. Paths sort by their bytes, so a
//! directory stands before what it holds. File contents stay in the archive that the tree was read from until they are
//! needed. Hard links become files that share their content.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use anyhow::{Context as _, bail};

/// Symbolic links followed when a path is resolved.
const LINKS_MAX: usize = 16;
/// Largest single file of a root, in bytes: it is read as a whole.
pub(crate) const FILE_MAX: u64 = 2 << 30;

/// A file, directory or other object with its metadata.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Permission bits, `0o7777` at most.
    pub(crate) mode: u16,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Seconds since 1970.
    pub(crate) mtime: u64,
    /// Extended attributes by full name, sorted.
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File(Content),
    /// A symbolic link with its target.
    Symlink(String),
    /// A character device, major and minor number.
    CharDevice(u32, u32),
    /// A block device, major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// Where a file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// In the archive.
    Archive {
        /// Offset in bytes.
        offset: u64,
        /// Length in bytes.
        len: u64,
    },
    /// Here.
    Bytes(Arc<[u8]>),
}

impl Content {
    /// Length in bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Archive { len, .. } => *len,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

impl Node {
    /// A node of root's with the usual permissions and no attributes.
    pub(crate) fn new(kind: Kind, mode: u16, mtime: u64) -> Self {
        Self { mode, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new(), kind }
    }
}

/// A root file system.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
    archive: Option<File>,
}

impl Tree {
    /// Only the root directory; contents in `archive`.
    pub(crate) fn new(archive: Option<File>, mtime: u64) -> Self {
        let root = Node::new(Kind::Dir, 0o755, mtime);
        Self { nodes: BTreeMap::from([(String::new(), root)]), archive }
    }

    /// All nodes, a directory before what it holds.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node at exactly `path`.
    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The node at exactly `path`, to be changed.
    pub(crate) fn get_mut(&mut self, path: &str) -> Option<&mut Node> {
        self.nodes.get_mut(path)
    }

    /// Puts `node` at `path`; its directory must be there. A directory that is there keeps what it holds.
    pub(crate) fn insert(&mut self, path: &str, node: Node) -> anyhow::Result<()> {
        let parent = split(path).0;
        let valid =
            |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255 && !part.contains('\0');
        if path.is_empty() {
            if node.kind != Kind::Dir {
                bail!("root tree: the root is not a directory");
            }
        } else if !path.split('/').all(valid) {
            bail!("root tree: {path:?} is not a valid path");
        } else if self.get(parent).map(|parent| &parent.kind) != Some(&Kind::Dir) {
            bail!("root tree: /{path}: /{parent} is not a directory");
        }
        if node.kind != Kind::Dir && self.children(path).next().is_some() {
            bail!("root tree: /{path} is a directory with files, which another file cannot replace");
        }
        self.nodes.insert(path.to_owned(), node);
        Ok(())
    }

    /// Makes `path` and the directories above it, as far as they are not there, and returns where it really is.
    pub(crate) fn make_dirs(&mut self, path: &str, mtime: u64) -> anyhow::Result<String> {
        let mut real = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let next = self.resolve(&join(&real, part))?;
            match self.get(&next).map(|node| &node.kind) {
                Some(Kind::Dir) => {}
                Some(_) => bail!("root tree: /{next} is not a directory"),
                None => self.insert(&next, Node::new(Kind::Dir, 0o755, mtime))?,
            }
            real = next;
        }
        Ok(real)
    }

    /// Removes `path` and everything below it; says whether it was there.
    pub(crate) fn remove(&mut self, path: &str) -> bool {
        self.remove_below(path);
        self.nodes.remove(path).is_some()
    }

    /// Removes everything below the directory `path`.
    pub(crate) fn remove_below(&mut self, path: &str) {
        let below: Vec<String> = self.below(path).map(|(path, _)| path.to_owned()).collect();
        for path in below {
            self.nodes.remove(&path);
        }
    }

    /// Everything below the directory `path`.
    pub(crate) fn below<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a str, &'a Node)> + use<'a> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let start = prefix.clone();
        self.nodes
            .range(start..)
            .take_while(move |(path, _)| path.starts_with(&prefix))
            .filter(|(path, _)| !path.is_empty())
            .map(|(path, node)| (path.as_str(), node))
    }

    /// What the directory `path` holds: names and nodes, in the order of names.
    pub(crate) fn children<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a str, &'a Node)> + use<'a> {
        let skip = if path.is_empty() { 0 } else { path.len() + 1 };
        self.below(path)
            .map(move |(path, node)| (&path[skip..], node))
            .filter(|(name, _)| !name.contains('/'))
    }

    /// Follows symbolic links in the directories above `path` and in `path` itself, within the root.
    pub(crate) fn resolve(&self, path: &str) -> anyhow::Result<String> {
        let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut real = String::new();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    real = split(&real).0.to_owned();
                    continue;
                }
                _ => {}
            }
            let next = join(&real, &part);
            match self.get(&next).map(|node| &node.kind) {
                Some(Kind::Symlink(target)) => {
                    links += 1;
                    if links > LINKS_MAX {
                        bail!("root tree: /{path}: more than {LINKS_MAX} symbolic links");
                    }
                    if target.starts_with('/') {
                        real.clear();
                    }
                    rest.extend(target.split('/').rev().map(str::to_owned));
                }
                _ => real = next,
            }
        }
        Ok(real)
    }

    /// The bytes of a file's content.
    pub(crate) fn read(&self, content: &Content) -> io::Result<Vec<u8>> {
        match content {
            Content::Bytes(bytes) => Ok(bytes.to_vec()),
            Content::Archive { offset, len } => {
                let archive = self.archive.as_ref().ok_or_else(|| io::Error::other("tree has no archive"))?;
                let mut bytes = vec![0; *len as usize];
                archive.read_exact_at(&mut bytes, *offset)?;
                Ok(bytes)
            }
        }
    }

    /// The first `max` bytes of a file's content, or all when it has fewer.
    pub(crate) fn read_head(&self, content: &Content, max: u64) -> io::Result<Vec<u8>> {
        match content {
            Content::Bytes(bytes) => Ok(bytes[..bytes.len().min(max as usize)].to_vec()),
            Content::Archive { offset, len } => {
                self.read(&Content::Archive { offset: *offset, len: (*len).min(max) })
            }
        }
    }

    /// The bytes of the file at `path`, symbolic links followed; none when there is no such file.
    pub(crate) fn read_file(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        match self.get(&self.resolve(path)?).map(|node| &node.kind) {
            Some(Kind::File(content)) => {
                self.read(content).map(Some).with_context(|| format!("read /{path} of the root tree"))
            }
            _ => Ok(None),
        }
    }

    /// The text of a file, as [`Tree::read_file`].
    pub(crate) fn read_text(&self, path: &str) -> anyhow::Result<Option<String>> {
        let Some(bytes) = self.read_file(path)? else { return Ok(None) };
        String::from_utf8(bytes).map(Some).with_context(|| format!("/{path} of the root tree is not UTF-8"))
    }
}

/// Directory and name of a path.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// `name` in `dir`.
pub(crate) fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Node {
        Node::new(Kind::File(Content::Bytes(text.as_bytes().into())), 0o644, 0)
    }

    fn link(target: &str) -> Node {
        Node::new(Kind::Symlink(target.to_owned()), 0o777, 0)
    }

    fn sample() -> Tree {
        let mut tree = Tree::new(None, 0);
        tree.make_dirs("usr/lib", 0).unwrap();
        tree.insert("lib", link("usr/lib")).unwrap();
        tree.insert("usr/lib/a", file("1")).unwrap();
        tree.insert("usr/lib/abs", link("/lib/a")).unwrap();
        tree.insert("usr/lib-x", file("2")).unwrap();
        tree
    }

    #[test]
    fn links_are_followed_within_the_root() {
        let mut tree = sample();
        assert_eq!(tree.resolve("lib/abs").unwrap(), "usr/lib/a");
        assert_eq!(tree.resolve("lib/../../../usr").unwrap(), "usr");
        assert_eq!(tree.read_file("lib/abs").unwrap().unwrap(), b"1");
        assert_eq!(tree.make_dirs("lib/new/x", 0).unwrap(), "usr/lib/new/x");
        tree.insert("loop", link("loop")).unwrap();
        assert!(tree.resolve("loop").unwrap_err().to_string().contains("more than 16"));
    }

    #[test]
    fn only_what_a_directory_holds_is_removed_with_it() {
        let mut tree = sample();
        let names: Vec<&str> = tree.children("usr").map(|(name, _)| name).collect();
        assert_eq!(names, ["lib", "lib-x"]);
        assert!(tree.remove("usr/lib"));
        let names: Vec<&str> = tree.children("usr").map(|(name, _)| name).collect();
        assert_eq!(names, ["lib-x"]);
        assert!(!tree.remove("usr/lib"));
    }

    #[test]
    fn nothing_is_put_where_it_cannot_be() {
        let mut tree = sample();
        assert!(
            tree.insert("none/a", file("")).unwrap_err().to_string().contains("/none is not a directory")
        );
        assert!(tree.insert("usr", file("")).unwrap_err().to_string().contains("directory with files"));
        for path in ["usr/..", "usr//a", "/usr", "usr/a\0"] {
            assert!(tree.insert(path, file("")).is_err(), "{path:?}");
        }
    }
}

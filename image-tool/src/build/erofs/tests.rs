//! The image is read back by a reader of its own, written from the format's description, and must give the same tree.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::build::tree::{Content, Node, join};

const EPOCH: u64 = 1000;

fn image(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    let contents = Contents::of(tree).unwrap();
    let map = write(tree, &contents, EPOCH, &mut bytes, &|_| {}).unwrap();
    assert_eq!(u64::from(map.blocks()) * BLOCK, bytes.len() as u64);
    let reader = Reader(&bytes);
    for (path, seen) in reader.read() {
        let is_file = seen.mode & 0o170_000 == 0o100_000;
        if is_file && !seen.data.is_empty() {
            assert!(map.starts().contains(&(seen.block as u32)), "the map knows /{path}");
        }
    }
    let inode_table = reader.number(1024 + 40, 4) as u32;
    assert_eq!(map.starts().last(), Some(&inode_table));
    bytes
}

/// What the reader finds at a path: mode with type bits, owner, group, date, links, attributes, contents.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    mode: u16,
    owner: (u32, u32),
    mtime: u64,
    links: u32,
    xattrs: BTreeMap<(u8, String), Vec<u8>>,
    /// File contents, a link's target, or a device number.
    data: Vec<u8>,
    /// First block of a file's contents.
    block: u64,
}

struct Reader<'i>(&'i [u8]);

impl Reader<'_> {
    fn number(&self, offset: usize, len: usize) -> u64 {
        self.0[offset..offset + len].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn read(&self) -> BTreeMap<String, Seen> {
        assert_eq!(self.number(1024, 4), 0xE0F5_E1E2);
        assert_eq!(self.number(1024 + 12, 1), 12);
        assert_eq!(self.number(1024 + 36, 4) * BLOCK, self.0.len() as u64);
        assert_eq!(self.number(1024 + 80, 4), 0, "no incompatible features");
        let mut seen = BTreeMap::new();
        self.walk("", self.number(1024 + 14, 2), &mut seen);
        assert_eq!(self.number(1024 + 16, 8), seen.len() as u64);
        seen
    }

    fn walk(&self, path: &str, nid: u64, seen: &mut BTreeMap<String, Seen>) {
        let found = self.inode(nid);
        if found.mode & 0o170_000 == 0o040_000 {
            let mut last: Vec<u8> = Vec::new();
            for block in found.data.chunks(BLOCK_LEN) {
                let number = |offset: usize, len: usize| {
                    block[offset..offset + len].iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
                };
                let count = number(8, 2) as usize / 12;
                for entry in 0..count {
                    let start = number(entry * 12 + 8, 2) as usize;
                    let end =
                        if entry + 1 < count { number(entry * 12 + 20, 2) as usize } else { block.len() };
                    let name = block[start..end].split(|byte| *byte == 0).next().unwrap().to_vec();
                    assert!(last.is_empty() || last < name, "names are sorted");
                    let (nid, kind) = (number(entry * 12, 8), block[entry * 12 + 10]);
                    last.clone_from(&name);
                    match name.as_slice() {
                        b"." | b".." => assert_eq!(kind, 2),
                        _ => self.walk(&join(path, std::str::from_utf8(&name).unwrap()), nid, seen),
                    }
                }
            }
        }
        assert!(seen.insert(path.to_owned(), found).is_none());
    }

    fn inode(&self, nid: u64) -> Seen {
        let at = (self.number(1024 + 40, 4) * BLOCK) as usize + nid as usize * 32;
        let format = self.number(at, 2);
        let extended = format & 1 == 1;
        let xattr_count = self.number(at + 2, 2) as usize;
        let mode = self.number(at + 4, 2) as u16;
        let (size, owner, mtime, links, len) = if extended {
            let owner = (self.number(at + 24, 4) as u32, self.number(at + 28, 4) as u32);
            (self.number(at + 8, 8), owner, self.number(at + 32, 8), self.number(at + 44, 4), 64)
        } else {
            let owner = (self.number(at + 24, 2) as u32, self.number(at + 26, 2) as u32);
            (self.number(at + 8, 4), owner, self.number(1024 + 24, 8), self.number(at + 6, 2), 32)
        };
        let union = self.number(at + 16, 4);
        let xattr_len = if xattr_count == 0 { 0 } else { 12 + (xattr_count - 1) * 4 };
        let xattrs = self.xattrs(at + len, xattr_len);
        let size = size as usize;
        let start = (union * BLOCK) as usize;
        let inline = format >> 1 == 2;
        let data = match mode & 0o170_000 {
            0o020_000 | 0o060_000 | 0o010_000 => union.to_le_bytes().to_vec(),
            _ if inline => {
                let outside = size / BLOCK_LEN * BLOCK_LEN;
                let tail = at + len + xattr_len;
                assert!(tail % BLOCK_LEN + size % BLOCK_LEN <= BLOCK_LEN, "inline data stays in its block");
                [&self.0[start..start + outside], &self.0[tail..tail + size - outside]].concat()
            }
            _ => self.0[start..start + size].to_vec(),
        };
        Seen { mode, owner, mtime, links: links as u32, xattrs, data, block: union }
    }

    fn xattrs(&self, start: usize, len: usize) -> BTreeMap<(u8, String), Vec<u8>> {
        let mut xattrs = BTreeMap::new();
        let mut at = start + 12;
        while at < start + len {
            let (name_len, index) = (self.0[at] as usize, self.0[at + 1]);
            let value_len = self.number(at + 2, 2) as usize;
            let name = std::str::from_utf8(&self.0[at + 4..at + 4 + name_len]).unwrap().to_owned();
            let value = self.0[at + 4 + name_len..at + 4 + name_len + value_len].to_vec();
            xattrs.insert((index, name), value);
            at += (4 + name_len + value_len).next_multiple_of(4);
        }
        xattrs
    }
}

/// Compares an image with the tree that it was made of.
fn check(tree: &Tree) -> Vec<u8> {
    let bytes = image(tree);
    let seen = Reader(&bytes).read();
    assert_eq!(
        seen.keys().map(String::as_str).collect::<Vec<_>>(),
        tree.iter().map(|(p, _)| p).collect::<Vec<_>>()
    );
    for (path, node) in tree.iter() {
        let found = &seen[path];
        assert_eq!(found.mode & 0o7777, node.mode, "/{path}");
        assert_eq!(found.owner, (node.uid, node.gid), "/{path}");
        assert_eq!(found.mtime, node.mtime, "/{path}");
        assert_eq!(found.xattrs.len(), node.xattrs.len(), "/{path}");
        match &node.kind {
            Kind::File(content) => assert_eq!(found.data, tree.read(content).unwrap(), "/{path}"),
            Kind::Symlink(target) => assert_eq!(found.data, target.as_bytes(), "/{path}"),
            Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) => {
                let number = u64::from(minor & 0xff | major << 8 | (minor & !0xff) << 12);
                assert_eq!(found.data, number.to_le_bytes(), "/{path}");
            }
            Kind::Dir | Kind::Fifo => {}
        }
        let dirs = tree.children(path).filter(|(_, child)| child.kind == Kind::Dir).count() as u32;
        assert_eq!(found.links, if node.kind == Kind::Dir { 2 + dirs } else { 1 }, "/{path}");
    }
    bytes
}

fn file(bytes: &[u8]) -> Kind {
    Kind::File(Content::Bytes(bytes.into()))
}

#[test]
fn every_kind_of_file_comes_back() {
    let mut tree = Tree::new(None, EPOCH);
    tree.make_dirs("a/b", EPOCH).unwrap();
    let mut add = |path: &str, kind: Kind| tree.insert(path, Node::new(kind, 0o4711, EPOCH)).unwrap();
    add("a/char", Kind::CharDevice(5, 300));
    add("a/block", Kind::BlockDevice(259, 1));
    add("a/fifo", Kind::Fifo);
    add("a/link", Kind::Symlink("../x".into()));
    add("a/long", Kind::Symlink("x/".repeat(2040)));
    add("a/empty", file(b""));
    add("a/short", file(b"x"));
    add("a/block-long", file(&[7; 4096]));
    add("a/longer", file(&[8; 4097]));
    let mut special = Node::new(file(b"capable"), 0o755, 5);
    (special.uid, special.gid) = (70_000, 3);
    special.xattrs.insert("security.capability".into(), vec![1; 20]);
    special.xattrs.insert("user.x".into(), vec![2; 3]);
    special.xattrs.insert("system.posix_acl_access".into(), vec![3; 44]);
    tree.insert("a/b/special", special).unwrap();
    let bytes = check(&tree);
    let seen = Reader(&bytes).read();
    let xattrs = &seen["a/b/special"].xattrs;
    assert_eq!(xattrs[&(6, "capability".to_owned())], vec![1; 20]);
    assert_eq!(xattrs[&(1, "x".to_owned())], vec![2; 3]);
    assert_eq!(xattrs[&(2, String::new())], vec![3; 44]);
}

#[test]
fn directories_of_any_size_come_back() {
    // Around the lengths at which the last part fits behind the inode, fills a block, or begins another one.
    for count in [1, 120, 136, 137, 138, 139, 140, 141, 142, 250, 2000] {
        let mut tree = Tree::new(None, EPOCH);
        for number in 0..count {
            let name = format!("f{number:04}-{}", "x".repeat(number % 23));
            tree.insert(&name, Node::new(file(b""), 0o644, EPOCH)).unwrap();
        }
        check(&tree);
    }
}

#[test]
fn equal_contents_share_their_blocks_and_added_files_stand_last() {
    let mut tree = Tree::new(None, EPOCH);
    for path in ["a", "b", "c"] {
        let bytes = if path == "c" { [2; 5000] } else { [1; 5000] };
        tree.insert(path, Node::new(file(&bytes), 0o644, EPOCH)).unwrap();
    }
    let bytes = check(&tree);
    let seen = Reader(&bytes).read();
    assert_eq!((seen["a"].block, seen["b"].block, seen["c"].block), (1, 1, 3));
}

/// An overlay on the state partition keeps UUID and inode number of what it lies on.
#[test]
fn other_inode_numbers_have_another_uuid() {
    let uuid = |files: &[(&str, u8)]| {
        let mut tree = Tree::new(None, EPOCH);
        for (path, byte) in files {
            tree.insert(path, Node::new(file(&[*byte; 50]), 0o644, EPOCH)).unwrap();
        }
        image(&tree)[1024 + 48..][..16].to_vec()
    };
    let first = uuid(&[("a", 1), ("b", 2)]);
    assert_eq!((first[6] >> 4, first[8] >> 6), (8, 2), "version and variant of RFC 9562");
    assert_eq!(first, uuid(&[("a", 1), ("b", 9)]), "the numbers are the same");
    assert_ne!(first, uuid(&[("a", 1), ("aa", 1), ("b", 2)]));
    assert_ne!(first, uuid(&[("a", 1), ("c", 2)]));
}

#[test]
fn attributes_of_unknown_kinds_are_refused_with_the_file() {
    let mut tree = Tree::new(None, EPOCH);
    let mut node = Node::new(file(b""), 0o644, EPOCH);
    node.xattrs.insert("strange.x".into(), Vec::new());
    tree.insert("a", node).unwrap();
    let contents = Contents::of(&tree).unwrap();
    let error = write(&tree, &contents, EPOCH, &mut Vec::new(), &|_| {}).unwrap_err();
    assert_eq!(format!("{error:#}"), "root image: /a: extended attribute \"strange.x\" is of no known kind");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_tree_comes_back(
        files in proptest::collection::vec(("[a-d]{1,3}(/[a-e.]{1,4}x){0,3}", 0usize..9000, any::<u8>(), 0u64..2000), 0..60),
    ) {
        let mut tree = Tree::new(None, EPOCH);
        for (path, len, byte, mtime) in files {
            let (parent, _) = crate::build::tree::split(&path);
            // Paths that are a file here and a directory there are left out.
            if tree.make_dirs(parent, EPOCH).is_ok() {
                let kind = if len % 7 == 0 { Kind::Symlink("t".repeat(len / 2 + 1)) } else { file(&vec![byte; len]) };
                let kind = match kind {
                    Kind::Symlink(target) if target.len() > 4095 => file(b"link"),
                    kind => kind,
                };
                let _ = tree.insert(&path, Node::new(kind, 0o644, mtime));
            }
        }
        prop_assert_eq!(check(&tree), image(&tree));
    }
}

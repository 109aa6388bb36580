use std::collections::BTreeMap;

use image_format::BLOCK;
use image_format::index::{Entry, Index};
use image_format::store::Store;
use image_format::{ChunkId, ObjectId, codec};
use proptest::prelude::*;

use super::{ErofsError, Image, Kind, Node, ReadAt, StoreImage};
use crate::build::contents::Contents;
use crate::build::erofs;
use crate::build::tree::{self, Content, Tree};

const EPOCH: u64 = 1000;

fn write(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    erofs::write(tree, &Contents::of(tree).unwrap(), EPOCH, &mut bytes, &|_| {}).unwrap();
    bytes
}

fn file(bytes: &[u8]) -> tree::Kind {
    tree::Kind::File(Content::Bytes(bytes.into()))
}

/// One of everything.
fn sample() -> Tree {
    let mut tree = Tree::new(None, EPOCH);
    tree.make_dirs("a/b", EPOCH).unwrap();
    let mut add =
        |path: &str, kind: tree::Kind| tree.insert(path, tree::Node::new(kind, 0o4711, EPOCH)).unwrap();
    add("a/char", tree::Kind::CharDevice(5, 300));
    add("a/block", tree::Kind::BlockDevice(259, 1));
    add("a/fifo", tree::Kind::Fifo);
    add("a/link", tree::Kind::Symlink("../x".into()));
    add("a/long", tree::Kind::Symlink("x/".repeat(2040)));
    add("a/empty", file(b""));
    add("a/longer", file(&[8; 4097]));
    for number in 0..300 {
        add(&format!("a/b/f{number:03}"), file(&[number as u8; 10]));
    }
    let mut special = tree::Node::new(file(b"capable"), 0o755, 5);
    (special.uid, special.gid) = (70_000, 3);
    special.xattrs.insert("security.capability".into(), vec![1; 20]);
    special.xattrs.insert("user.x".into(), vec![2; 3]);
    special.xattrs.insert("system.posix_acl_access".into(), vec![3; 44]);
    tree.insert("a/b/special", special).unwrap();
    tree
}

fn nodes<R: ReadAt>(image: &Image<R>) -> Result<Vec<Node>, ErofsError> {
    image.walk().collect()
}

fn content<R: ReadAt>(image: &Image<R>, node: &Node) -> Vec<u8> {
    let Kind::File(extent) = &node.kind else { panic!("{node:?}") };
    let mut bytes = Vec::new();
    let mut keep = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    image.read(extent, &mut keep).unwrap();
    bytes
}

/// Compares what is read with the tree that was written.
fn check<R: ReadAt>(tree: &Tree, image: &Image<R>) {
    let found: BTreeMap<String, Node> =
        nodes(image).unwrap().into_iter().map(|node| (node.path.clone(), node)).collect();
    assert_eq!(found.len(), tree.len());
    for (path, node) in tree.iter() {
        let seen = &found[path];
        assert_eq!((seen.mode, seen.uid, seen.gid, seen.mtime), (node.mode, node.uid, node.gid, node.mtime));
        assert_eq!(seen.xattrs.iter().cloned().collect::<BTreeMap<_, _>>(), node.xattrs, "/{path}");
        let same = match (&node.kind, &seen.kind) {
            (tree::Kind::File(wanted), Kind::File(_)) => tree.read(wanted).unwrap() == content(image, seen),
            (tree::Kind::Symlink(wanted), Kind::Symlink(target)) => wanted == target,
            (tree::Kind::CharDevice(a, b), Kind::CharDevice(c, d))
            | (tree::Kind::BlockDevice(a, b), Kind::BlockDevice(c, d)) => (a, b) == (c, d),
            (tree::Kind::Dir, Kind::Dir(_)) | (tree::Kind::Fifo, Kind::Fifo) => true,
            _ => false,
        };
        assert!(same, "/{path}: {node:?} {seen:?}");
    }
}

#[test]
fn what_was_written_is_read() {
    let tree = sample();
    let bytes = write(&tree);
    let image = Image::open(bytes.as_slice()).unwrap();
    check(&tree, &image);
    let order: Vec<String> = nodes(&image).unwrap().into_iter().map(|node| node.path).collect();
    assert_eq!(order[..3], ["", "a", "a/b"]);
    assert_eq!(order[3], "a/b/f000");
}

#[test]
fn an_image_is_read_out_of_its_chunks() {
    let tree = sample();
    let mut bytes = write(&tree);
    bytes.extend_from_slice(&[0; 8 * BLOCK as usize]);
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    let mut batch = store.batch().unwrap();
    let entries = bytes.chunks(3 * BLOCK as usize).map(|plain| {
        if plain.iter().all(|byte| *byte == 0) {
            return Entry::zero(plain.len() as u32);
        }
        let stored = codec::encode(plain);
        batch.put(&stored).unwrap();
        Entry {
            chunk: ChunkId::of(plain),
            object: ObjectId::of(&stored),
            plain_len: plain.len() as u32,
            stored_len: stored.len() as u32,
        }
    });
    let index = Index::new(entries.collect()).unwrap();
    batch.commit().unwrap();
    let source = StoreImage::new(&store, &index);
    let mut whole = vec![1; bytes.len()];
    source.read_at(&mut whole, 0).unwrap();
    assert_eq!(whole, bytes);
    assert!(source.read_at(&mut [0; 2], bytes.len() as u64 - 1).is_err());
    check(&tree, &Image::open(source).unwrap());
}

/// The error of opening or walking.
fn refused(bytes: &[u8]) -> String {
    Image::open(bytes).and_then(|image| nodes(&image)).unwrap_err().to_string()
}

/// Position of the inode of `path` in an image.
fn inode_at(bytes: &[u8], path: &str) -> usize {
    let image = Image::open(bytes).unwrap();
    let node = nodes(&image).unwrap().into_iter().find(|node| node.path == path).unwrap();
    image.inodes_at as usize + node.nid as usize * 32
}

#[test]
fn hostile_images_are_refused_by_name() {
    let good = write(&sample());
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        refused(&bad)
    };
    assert!(with(1024, &[0]).contains("superblock: expected magic 0xe0f5e1e2"));
    assert!(with(1024 + 12, &[9]).contains("block size"));
    assert!(with(1024 + 80, &[1]).contains("incompatible features"));
    assert!(with(1024 + 36, &[255; 4]).contains("superblock: expected everything within"));
    assert!(with(1024 + 40, &[255; 4]).contains("superblock"));
    assert!(with(1024 + 14, &[255; 2]).contains("expected a place within"));
    assert!(refused(&good[..good.len() - 1]).contains("superblock: expected everything within"));
    assert!(refused(b"").contains("superblock: expected a block"));
    let root = inode_at(&good, "");
    assert!(with(root, &[2]).contains("expected contents in one piece"), "compressed");
    assert!(with(root + 8, &[255; 4]).contains("/: contents: expected a place within"), "a long directory");
    let file = inode_at(&good, "a/longer");
    assert!(with(file + 8, &[255; 4]).contains("/a/longer: contents: expected a place within"));
    assert!(with(file + 16, &[255; 4]).contains("/a/longer: contents: expected a place within"));
    assert!(with(file + 4, &[0, 0xf0]).contains("a known type"));
    let link = inode_at(&good, "a/link");
    assert!(with(link + 8, &[0; 4]).contains("/a/link: symbolic link: expected a target of 1 to"));
    assert!(with(link + 32, &[0]).contains("without NUL"));
    // Names: of the root directory, which is inline: `.`, `..`, `a`.
    let names = good[root..].windows(4).position(|bytes| bytes == b"...a").unwrap() + root;
    assert!(with(names + 3, b"/").contains("one segment"));
    assert!(with(names + 3, b"\0").contains("the name \"\""));
    assert!(with(names + 3, &[0xff]).contains("a name in UTF-8"));
    assert!(with(names, b"b").contains("names in order"));
    // `a` becomes the root itself.
    let entries = names - 3 * 12;
    let root_nid = good[entries..entries + 8].to_vec();
    assert!(with(entries + 24, &root_nid).contains("/a: directory: expected each one in one place"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is changed: an end, and never a byte from outside.
    #[test]
    fn changed_images_are_read_or_refused(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
        thread_local!(static GOOD: Vec<u8> = write(&sample()));
        let mut bytes = GOOD.with(Clone::clone);
        // Superblock, directories and inodes: everything but the first file's contents.
        let tail = inode_at(&bytes, "") - BLOCK as usize;
        for (at, byte) in changes {
            let at = at.index(128 + bytes.len() - tail);
            let at = if at < 128 { 1024 + at } else { tail + at - 128 };
            bytes[at] = byte;
        }
        if let Ok(image) = Image::open(bytes.as_slice()) {
            for node in image.walk() {
                match node {
                    Ok(Node { kind: Kind::File(extent), .. }) if extent.size < 1 << 20 => {
                        let mut len = 0;
                        image.read(&extent, &mut |piece| { len += piece.len(); Ok(()) }).unwrap();
                        prop_assert_eq!(len as u64, extent.size);
                    }
                    Ok(_) | Err(_) => {}
                }
            }
        }
    }
}

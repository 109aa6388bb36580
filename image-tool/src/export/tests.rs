//! What is written is read back: by the import, and by a reader of tar archives; and what must not be written is not.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use image_format::chunker::{Piece, chunks};
use image_format::index::Entry;
use image_format::{ChunkId, ObjectId, codec};
use proptest::prelude::*;

use super::casync::Written;
use super::*;
use crate::build::contents::Contents;
use crate::build::erofs;
use crate::build::tree::{Content, Kind, Node, Tree};
use crate::casync::{Castr, CasyncIndex};
use crate::ui::Ui;

/// A store with one artifact.
struct Place {
    dir: tempfile::TempDir,
    store: Store,
    index: Index,
}

impl Place {
    fn with(bytes: &[u8]) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let store = Store::create(dir.path().join("store")).unwrap();
        let mut batch = store.batch().unwrap();
        let entry = |piece: std::io::Result<Piece>| match piece.unwrap() {
            Piece::Zero(len) => Entry::zero(len as u32),
            Piece::Data(plain) => {
                let stored = codec::encode(&plain);
                batch.put(&stored).unwrap();
                let (chunk, object) = (ChunkId::of(&plain), ObjectId::of(&stored));
                Entry { chunk, object, plain_len: plain.len() as u32, stored_len: stored.len() as u32 }
            }
        };
        let index = Index::new(chunks(bytes).map(entry).collect()).unwrap();
        batch.commit().unwrap();
        Self { dir, store, index }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, work: impl FnOnce(&Artifact<'_>) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let progress = Ui::new(true).spinner("test");
        work(&Artifact { store: &self.store, index: &self.index, progress: &progress })
    }

    fn file(
        &self,
        name: &str,
        exists: Exists,
        work: impl FnOnce(&Artifact<'_>, &Output) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let output = Output::create(&self.path(name), exists)?;
        self.write(|artifact| work(artifact, &output))?;
        output.commit()
    }

    fn casync(&self, out: &str, exists: Exists) -> anyhow::Result<Written> {
        let mut written = Written::default();
        self.write(|artifact| {
            written = casync(artifact, &Caibx::at(&self.path(out), "image"), exists)?;
            Ok(())
        })?;
        Ok(written)
    }

    /// Names of everything in the place but the store.
    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != "store").collect();
        names.sort();
        names
    }

    /// The same index, but one chunk shall have another digest: what a damaged object is to a reader.
    fn damaged(mut self) -> Self {
        let mut entries = self.index.entries().to_vec();
        let last = entries.iter_mut().rev().find(|entry| !entry.is_zero()).unwrap();
        last.chunk = ChunkId::of(b"others");
        self.index = Index::new(entries).unwrap();
        self
    }
}

/// Data that does not compress, data that does, zeros of more than a chunk, and an uneven end.
fn mixed() -> Vec<u8> {
    let mut bytes = vec![0; 300_000];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes.extend(b"bascule ".repeat(50_000));
    bytes.resize(bytes.len().next_multiple_of(4096) + 600_000, 0);
    bytes.extend(b"end");
    bytes
}

#[test]
fn raw_and_zstd_are_the_bytes() {
    let bytes = mixed();
    let place = Place::with(&bytes);
    place.file("raw", Exists::Refuse, raw).unwrap();
    assert!(fs::read(place.path("raw")).unwrap() == bytes);
    place.file("zst", Exists::Refuse, |artifact, output| zstd(artifact, 3, output)).unwrap();
    let frame = fs::read(place.path("zst")).unwrap();
    assert!(::zstd::bulk::decompress(&frame, bytes.len()).unwrap() == bytes);
    assert_eq!(place.names(), ["raw", "zst"]);
    // As any file that is made with the same umask.
    fs::write(place.path("usual"), b"").unwrap();
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode();
    assert_eq!(mode("raw"), mode("usual"));
}

#[test]
fn nothing_is_replaced_unasked_and_only_files_ever() {
    let place = Place::with(&mixed());
    fs::write(place.path("file"), b"precious").unwrap();
    fs::create_dir(place.path("dir")).unwrap();
    symlink(place.path("file"), place.path("link")).unwrap();
    let refused = |name: &str, exists| format!("{:#}", place.file(name, exists, raw).unwrap_err());
    assert!(refused("file", Exists::Refuse).contains("exists already; nothing was overwritten"));
    for name in ["dir", "link"] {
        for exists in [Exists::Refuse, Exists::Replace] {
            assert!(refused(name, exists).contains("expected no file or a regular file"), "{name}");
        }
    }
    assert_eq!(fs::read(place.path("file")).unwrap(), b"precious");
    place.file("file", Exists::Replace, raw).unwrap();
    assert!(fs::read(place.path("file")).unwrap() == mixed());
    assert_eq!(place.names(), ["dir", "file", "link"]);
    // Somebody was quicker.
    let output = Output::create(&place.path("new"), Exists::Refuse).unwrap();
    fs::write(place.path("new"), b"theirs").unwrap();
    assert!(format!("{:#}", output.commit().unwrap_err()).contains("File exists"));
    assert_eq!(fs::read(place.path("new")).unwrap(), b"theirs");
}

#[test]
fn a_damaged_store_leaves_nothing() {
    let place = Place::with(&mixed()).damaged();
    let failed = [
        place.file("raw", Exists::Refuse, raw),
        place.file("zst", Exists::Refuse, |artifact, output| zstd(artifact, 3, output)),
        place.casync("new", Exists::Refuse).map(drop),
        place.casync("x.caibx", Exists::Refuse).map(drop),
    ];
    for failed in failed {
        let error = format!("{:#}", failed.unwrap_err());
        assert!(error.contains("expected plain digest") && error.contains("byte "), "{error}");
    }
    assert_eq!(place.names(), [""; 0]);
}

fn read_back(caibx: &Path) -> anyhow::Result<(Vec<u8>, Index)> {
    let from = CasyncIndex::parse(&fs::read(caibx).unwrap())?;
    let castr = Castr::open(caibx.with_file_name("default.castr").to_str().unwrap())?;
    let other = Place::with(b"x");
    let progress = Ui::new(true).spinner("test");
    let imported = crate::import::import(&other.store, &castr, &from, &progress)?;
    let stored = other.store.read(imported.object.id, imported.object.size)?;
    assert_eq!(Index::parse(&stored)?, imported.index);
    let other = Place { index: imported.index, ..other };
    other.file("raw", Exists::Refuse, raw)?;
    Ok((fs::read(other.path("raw")).unwrap(), other.index))
}

#[test]
fn casync_chunks_come_back_and_are_shared() {
    let bytes = mixed();
    let place = Place::with(&bytes);
    let first = place.casync("out", Exists::Refuse).unwrap();
    assert!(first.new > 3 && first.new < first.chunks, "zeros are stored once: {first:?}");
    let caibx = place.path("out/image.caibx");
    let (read, index) = read_back(&caibx).unwrap();
    assert!(read == bytes);
    assert_eq!(index, place.index, "cut as before");
    assert!(format!("{:#}", place.casync("out", Exists::Refuse).unwrap_err()).contains("exists already"));
    let again = place.casync("out", Exists::Replace).unwrap();
    assert_eq!((again.new, again.chunks), (0, first.chunks));
    let other = place.casync("out/other.caibx", Exists::Refuse).unwrap();
    assert_eq!(other.new, 0);
    let mut names: Vec<_> =
        fs::read_dir(place.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["default.castr", "image.caibx", "other.caibx"]);
}

/// What a killed export left goes with the next one; what a running one has stays.
#[test]
fn remains_are_swept() {
    let place = Place::with(&mixed());
    let [dead, alive] = ["out/.tmp-export-dead", "out/.tmp-export-alive"].map(|name| place.path(name));
    fs::create_dir_all(dead.join("x")).unwrap();
    fs::create_dir(&alive).unwrap();
    let lock = fs::File::open(&alive).unwrap();
    lock.lock().unwrap();
    place.casync("out", Exists::Refuse).unwrap();
    assert!(!dead.exists() && alive.exists());
    drop(lock);
    place.casync("out", Exists::Replace).unwrap();
    assert!(!alive.exists());
}

/// All files of a store.
fn cacnks(castr: &Path) -> Vec<PathBuf> {
    let dirs = fs::read_dir(castr).unwrap().map(|entry| entry.unwrap().path());
    dirs.flat_map(|dir| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path())).collect()
}

#[test]
fn damaged_chunks_are_replaced_and_links_are_no_chunks() {
    let bytes = mixed();
    let place = Place::with(&bytes);
    place.casync("out", Exists::Refuse).unwrap();
    let castr = place.path("out/default.castr");
    let files = cacnks(&castr);
    let elsewhere = place.path("elsewhere");
    fs::write(&files[0], b"damaged").unwrap();
    fs::rename(&files[1], &elsewhere).unwrap();
    symlink(&elsewhere, &files[1]).unwrap();
    fs::remove_file(&files[2]).unwrap();
    let before = fs::read(&elsewhere).unwrap();
    assert!(read_back(&place.path("out/image.caibx")).is_err());
    assert_eq!(place.casync("out", Exists::Replace).unwrap().new, 3);
    assert!(read_back(&place.path("out/image.caibx")).unwrap().0 == bytes);
    assert_eq!(fs::read(&elsewhere).unwrap(), before, "nothing is written through a link");
}

#[test]
fn a_store_that_is_a_link_is_refused() {
    let place = Place::with(&mixed());
    for dir in ["out", "elsewhere"] {
        fs::create_dir(place.path(dir)).unwrap();
    }
    symlink(place.path("elsewhere"), place.path("out/default.castr")).unwrap();
    let error = format!("{:#}", place.casync("out", Exists::Refuse).unwrap_err());
    assert!(error.contains("default.castr: expected a directory, found a symbolic link"), "{error}");
    assert_eq!(fs::read_dir(place.path("elsewhere")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any size, any zeros.
    #[test]
    fn artifacts_of_any_size_come_back(parts in prop::collection::vec((1..200_000usize, any::<bool>(), any::<u8>()), 1..5)) {
        let mut bytes = Vec::new();
        for (len, is_zero, seed) in parts {
            let start = bytes.len();
            bytes.resize(start + len, 0);
            if !is_zero {
                blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut bytes[start..]);
            }
        }
        let place = Place::with(&bytes);
        place.casync("out", Exists::Refuse).unwrap();
        let (read, index) = read_back(&place.path("out/image.caibx")).unwrap();
        prop_assert!(read == bytes);
        prop_assert_eq!(index, place.index);
    }
}

fn tree() -> Tree {
    let mut tree = Tree::new(None, 1000);
    tree.make_dirs("a/b", 1000).unwrap();
    let long = format!("a/{}", "n".repeat(150));
    let file = |bytes: &[u8]| Kind::File(Content::Bytes(bytes.into()));
    for (path, kind) in [
        ("a/empty", file(b"")),
        ("a/block", Kind::BlockDevice(259, 70_000)),
        ("a/char", Kind::CharDevice(5, 1)),
        ("a/fifo", Kind::Fifo),
        ("a/large", file(&mixed())),
        ("a/link", Kind::Symlink("../usr".into())),
        ("a/far", Kind::Symlink("x/".repeat(100))),
        (long.as_str(), file(b"long")),
    ] {
        tree.insert(path, Node::new(kind, 0o4751, 1000)).unwrap();
    }
    let mut special = Node::new(file(b"special"), 0o640, 5);
    (special.uid, special.gid) = (70_000, 3_000_000);
    special.xattrs.insert("security.capability".into(), b"\x01\0\0\x02\xff\x20".to_vec());
    special.xattrs.insert("user.a=b%".into(), vec![0, 61, 37]);
    tree.insert("a/b/special", special).unwrap();
    tree
}

#[test]
fn a_tar_archive_has_all_of_every_file() {
    let tree = tree();
    let mut image = Vec::new();
    erofs::write(&tree, &Contents::of(&tree).unwrap(), 1000, &mut image, &|_| {}).unwrap();
    let place = Place::with(&image);
    place.file("root.tar", Exists::Refuse, tar).unwrap();
    let mut found = BTreeMap::new();
    let mut archive = ::tar::Archive::new(fs::File::open(place.path("root.tar")).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().to_vec()).unwrap();
        let header = entry.header().clone();
        let mut xattrs = BTreeMap::new();
        let mut gid = header.gid().unwrap();
        for extension in entry.pax_extensions().unwrap().into_iter().flatten().map(Result::unwrap) {
            match extension.key().unwrap() {
                "gid" => gid = extension.value().unwrap().parse().unwrap(),
                key => drop(
                    key.strip_prefix("SCHILY.xattr.")
                        .map(|name| xattrs.insert(name.to_owned(), extension.value_bytes().to_vec())),
                ),
            }
        }
        let target = entry.link_name_bytes().map(|target| String::from_utf8(target.to_vec()).unwrap());
        let device = header.device_major().unwrap().zip(header.device_minor().unwrap()).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let owner = (header.uid().unwrap(), gid, header.mode().unwrap(), header.mtime().unwrap());
        let seen = (header.entry_type(), owner, target, device, content, xattrs);
        assert!(found.insert(name, seen).is_none());
    }
    assert_eq!(found.len(), tree.len());
    for (path, node) in tree.iter() {
        use ::tar::EntryType;
        let name = match &node.kind {
            Kind::Dir if path.is_empty() => "./".to_owned(),
            Kind::Dir => format!("{path}/"),
            _ => path.to_owned(),
        };
        let (entry_type, target, device, content) = match &node.kind {
            Kind::Dir => (EntryType::Directory, None, (0, 0), Vec::new()),
            Kind::File(content) => (EntryType::Regular, None, (0, 0), tree.read(content).unwrap()),
            Kind::Symlink(target) => (EntryType::Symlink, Some(target.clone()), (0, 0), Vec::new()),
            Kind::CharDevice(major, minor) => (EntryType::Char, None, (*major, *minor), Vec::new()),
            Kind::BlockDevice(major, minor) => (EntryType::Block, None, (*major, *minor), Vec::new()),
            Kind::Fifo => (EntryType::Fifo, None, (0, 0), Vec::new()),
        };
        let escape = |name: &String| name.replace('%', "%25").replace('=', "%3D");
        let xattrs = node.xattrs.iter().map(|(name, value)| (escape(name), value.clone())).collect();
        let owner = (u64::from(node.uid), u64::from(node.gid), u32::from(node.mode), node.mtime);
        assert_eq!(found[&name], (entry_type, owner, target, device, content, xattrs), "/{path}");
    }
}

#[test]
fn what_is_no_file_system_is_no_archive() {
    let place = Place::with(&mixed());
    let error = format!("{:#}", place.file("root.tar", Exists::Refuse, tar).unwrap_err());
    assert!(error.contains("EROFS image: superblock: expected magic"), "{error}");
    assert_eq!(place.names(), [""; 0]);
}

//! Two images, the patch between them, and what a node makes of it.

use std::collections::HashMap;

use image_format::chunker::{Piece, chunks};
use image_format::index::Entry;
use image_format::patch::{SegmentTable, decode_segment};
use image_format::store::Counts;
use image_format::{ChunkId, codec};
use proptest::prelude::*;

use super::*;
use crate::build::contents::Contents;
use crate::build::erofs;
use crate::build::tree::{Content, Kind, Node, Tree};

const EPOCH: u64 = 1000;

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

/// An EROFS image of these files.
fn erofs_image(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut tree = Tree::new(None, EPOCH);
    for (path, bytes) in files {
        tree.make_dirs(path.rsplit_once('/').map_or("", |(dir, _)| dir), EPOCH).unwrap();
        let kind = Kind::File(Content::Bytes(bytes.as_slice().into()));
        tree.insert(path, Node::new(kind, 0o644, EPOCH)).unwrap();
    }
    let mut bytes = Vec::new();
    erofs::write(&tree, &Contents::of(&tree).unwrap(), EPOCH, &mut bytes, &|_| {}).unwrap();
    bytes
}

/// Stores an image as chunks.
fn stored(store: &Store, name: &str, bytes: &[u8]) -> Indexed {
    let mut batch = store.batch().unwrap();
    let entries = chunks(bytes).map(|piece| match piece.unwrap() {
        Piece::Zero(len) => Entry::zero(len as u32),
        Piece::Data(plain) => {
            let stored = codec::encode(&plain);
            let object = batch.put(&stored).unwrap().id;
            let (plain_len, stored_len) = (plain.len() as u32, stored.len() as u32);
            Entry { chunk: ChunkId::of(&plain), object, plain_len, stored_len }
        }
    });
    let index = Index::new(entries.collect()).unwrap();
    batch.commit().unwrap();
    Indexed { name: name.parse().unwrap(), id: ObjectId::of(&index.encode()), index }
}

/// Runs `make` in a batch.
fn batched(
    store: &Store,
    make: impl FnOnce(&mut Batch<'_>) -> anyhow::Result<SegmentTable>,
) -> (SegmentTable, Counts) {
    let mut batch = store.batch().unwrap();
    let table = make(&mut batch).unwrap();
    (table, batch.commit().unwrap())
}

/// What a node makes of a table: segments on the old image, chunks of the old image, and nothing from the network but `fetched`
/// chunks.
fn apply(
    store: &Store,
    old: Option<(&Indexed, &[u8])>,
    new: &Indexed,
    table: &SegmentTable,
) -> (Vec<u8>, usize) {
    table.check((new.id, &new.index), old.map(|(old, _)| (old.id, &old.index))).unwrap();
    let mut have: HashMap<ChunkId, Vec<u8>> = HashMap::new();
    for (start, entry) in old.iter().flat_map(|(old, _)| old.index.iter_at()) {
        let bytes = old.unwrap().1;
        have.insert(entry.chunk, bytes[start as usize..][..entry.plain_len as usize].to_vec());
    }
    for segment in table.segments() {
        let mut prefix = Vec::new();
        for range in &segment.base {
            let start = range.first as usize * 4096;
            prefix.extend_from_slice(&old.unwrap().1[start..start + range.count as usize * 4096]);
        }
        let frame = store.read(segment.object, segment.stored_len.into()).unwrap();
        let mut plain = Vec::new();
        decode_segment(&frame, segment.plain_len, &prefix, &mut |piece| {
            plain.extend_from_slice(piece);
            true
        })
        .unwrap();
        let mut rest = plain.as_slice();
        for number in segment.entry_numbers() {
            let entry = &new.index.entries()[number];
            let (chunk, behind) = rest.split_at(entry.plain_len as usize);
            assert_eq!(ChunkId::of(chunk), entry.chunk);
            assert!(
                have.insert(entry.chunk, chunk.to_vec()).is_none(),
                "nothing that is there, nothing twice"
            );
            rest = behind;
        }
    }
    let (mut bytes, mut fetched) = (Vec::new(), 0);
    for entry in new.index.entries() {
        if entry.is_zero() {
            bytes.resize(bytes.len() + entry.plain_len as usize, 0);
        } else {
            let chunk = have.entry(entry.chunk).or_insert_with(|| {
                fetched += 1;
                crate::erofs_read::read_chunk(store, entry).unwrap()
            });
            bytes.extend_from_slice(chunk);
        }
    }
    (bytes, fetched)
}

fn quiet(_: u64) -> Progress {
    Ui::new(true).bytes("", 0)
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("store")).unwrap();
    (dir, store)
}

/// Makes patch and stream from one image to the other, and follows both. Returns the bytes of the patch and of the missing chunks.
fn patched(old_bytes: &[u8], new_bytes: &[u8]) -> (u64, u64) {
    let (_dir, store) = store();
    let (old, new) = (stored(&store, "ha@1", old_bytes), stored(&store, "ha@2", new_bytes));
    let (table, _) = batched(&store, |batch| between(&store, batch, &old, &new, Effort::Fast, quiet));
    let (made, _) = apply(&store, Some((&old, old_bytes)), &new, &table);
    assert!(made == new_bytes, "the patch makes the image");
    let (again, counts) = batched(&store, |batch| between(&store, batch, &old, &new, Effort::Fast, quiet));
    assert_eq!((again, counts.stored), (table.clone(), 0), "the same again");
    let (stream, _) = batched(&store, |batch| whole(&store, batch, &new, Effort::Fast, quiet));
    let (made, fetched) = apply(&store, None, &new, &stream);
    assert!(made == new_bytes && fetched == 0, "the stream alone makes the image");
    let ways = Ways::of(&old.index, &new.index, Some(&table), None);
    (ways.best, ways.chunks)
}

#[test]
fn a_new_version_costs_its_differences() {
    let program = noise(1, 300_000);
    let mut rebuilt = program.clone();
    for place in (0..rebuilt.len()).step_by(9_000) {
        rebuilt[place] ^= 1;
    }
    let library = noise(2, 200_000);
    let moved = [noise(7, 100).as_slice(), &library].concat();
    let old = erofs_image(&[
        ("lib/modules/6.1.0-50/a.ko", program),
        ("usr/lib/libx.so.1.2", library),
        ("usr/share/gone", noise(4, 50_000)),
        ("usr/share/same", noise(5, 50_000)),
    ]);
    let new = erofs_image(&[
        ("lib/modules/6.1.0-56/a.ko", rebuilt),
        ("usr/lib/libx.so.1.3", moved),
        ("usr/share/new", noise(6, 20_000)),
        ("usr/share/same", noise(5, 50_000)),
    ]);
    let (patch, chunks) = patched(&old, &new);
    assert!(chunks > 500_000, "{chunks}");
    // The new file, and little more.
    assert!((20_000..30_000).contains(&patch), "{patch}");
}

#[test]
fn large_files_are_found_again_where_they_were() {
    // Larger than what is taken whole, and than a segment.
    let old = noise(1, 20 << 20);
    let mut new = [noise(2, 70_000).as_slice(), &old].concat();
    for place in (0..new.len()).step_by(60_000) {
        new[place] ^= 1;
    }
    let (patch, chunks) = patched(&erofs_image(&[("a", old)]), &erofs_image(&[("a", new)]));
    assert!(chunks > 20 << 20 && patch < 400_000, "{patch} of {chunks}");
}

#[test]
fn the_same_image_costs_nothing_and_another_one_no_more_than_its_chunks() {
    let image = erofs_image(&[("a", noise(1, 100_000)), ("b", vec![0; 100_000])]);
    assert_eq!(patched(&image, &image), (0, 0));
    let other = erofs_image(&[("a", noise(2, 100_000))]);
    let (patch, chunks) = patched(&image, &other);
    assert!(patch <= chunks, "{patch} of {chunks}");
}

#[test]
fn an_image_that_is_not_erofs_is_one_file() {
    let old = noise(1, 256 * 4096);
    let mut new = old.clone();
    new[500_000..500_100].fill(7);
    let (patch, chunks) = patched(&old, &new);
    assert!(patch < 1000 && chunks > 16_000, "{patch} of {chunks}");
}

#[test]
fn what_the_store_lacks_is_named() {
    let (_dir, store) = store();
    let old = stored(&store, "ha@1", &erofs_image(&[("a", noise(1, 100_000))]));
    let new = stored(&store, "ha@2", &erofs_image(&[("a", noise(2, 100_000))]));
    let (_other, empty) = self::store();
    let mut batch = empty.batch().unwrap();
    let error = between(&empty, &mut batch, &old, &new, Effort::Fast, quiet).unwrap_err();
    assert!(
        format!("{error:#}").starts_with("find the files of ha@1: EROFS image: read superblock"),
        "{error:#}"
    );
    let error = whole(&empty, &mut batch, &new, Effort::Fast, quiet).unwrap_err();
    assert!(format!("{error:#}").starts_with("make a segment: object"), "{error:#}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever two trees hold.
    #[test]
    fn any_image_is_made_from_any_other(
        old in proptest::collection::btree_map("[a-c]{1,2}/[a-c0-9.]{1,3}x", (0u64..6, 0usize..70_000), 0..12),
        new in proptest::collection::btree_map("[a-c]{1,2}/[a-c0-9.]{1,3}x", (0u64..6, 0usize..70_000), 0..12),
    ) {
        let image = |files: std::collections::BTreeMap<String, (u64, usize)>| {
            let files: Vec<_> = files.iter().map(|(path, (seed, len))| (path.as_str(), noise(*seed, *len))).collect();
            erofs_image(&files)
        };
        let (patch, chunks) = patched(&image(old), &image(new));
        prop_assert!(patch <= chunks);
    }
}

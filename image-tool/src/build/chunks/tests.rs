use std::io::Write as _;

use image_format::chunker::{Piece, chunks, image_chunks};
use image_format::codec::Compression;
use image_format::index::Entry;
use image_format::{ChunkId, ObjectId, codec};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const BLOCK_LEN: usize = BLOCK as usize;

struct World {
    store: Store,
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { store: Store::create(dir.path().join("store")).unwrap(), dir }
    }

    fn file(&self, bytes: &[u8]) -> File {
        let path = self.dir.path().join("artifact");
        File::create(&path).unwrap().write_all(bytes).unwrap();
        File::open(path).unwrap()
    }

    fn cut(&self, threads: usize, bytes: &[u8], map: Option<&FileMap>, indexes: &[Index]) -> Chunks {
        let known = known(&self.store, indexes).unwrap();
        let mut batch = self.store.batch().unwrap();
        let chunking = Chunking {
            map,
            known: &known,
            compression: Compression::Fast,
            batch: &mut batch,
            progress: &|_| {},
        };
        let chunks = store_on(threads, &self.file(bytes), bytes.len() as u64, chunking).unwrap();
        batch.commit().unwrap();
        chunks
    }
}

/// The index as one would make it on one thread, piece by piece.
fn expected(bytes: &[u8], map: Option<&FileMap>) -> Index {
    let pieces: Vec<Piece> = match map {
        Some(map) => image_chunks(bytes, map).map(Result::unwrap).collect(),
        None => chunks(bytes).map(Result::unwrap).collect(),
    };
    let entry = |piece: Piece| match piece {
        Piece::Zero(len) => Entry::zero(len as u32),
        Piece::Data(plain) => {
            let stored = codec::encode(&plain);
            Entry {
                chunk: ChunkId::of(&plain),
                object: ObjectId::of(&stored),
                plain_len: plain.len() as u32,
                stored_len: stored.len() as u32,
            }
        }
    };
    Index::new(pieces.into_iter().map(entry).collect()).unwrap()
}

/// Bytes of which half compress.
fn content(blocks: usize, seed: u64) -> Vec<u8> {
    let block = |block: usize| {
        let digest = blake3::hash(&[seed.to_le_bytes(), (block as u64).to_le_bytes()].concat());
        digest.as_bytes().repeat(if block.is_multiple_of(2) { BLOCK_LEN / 32 } else { 1 })
    };
    (0..blocks)
        .flat_map(|number| {
            let mut bytes = vec![0; BLOCK_LEN];
            let mut hasher = blake3::Hasher::new();
            hasher.update(&block(number)).finalize_xof().fill(&mut bytes);
            if number.is_multiple_of(2) { block(number) } else { bytes }
        })
        .collect()
}

#[test]
fn a_second_image_compresses_only_what_is_new() {
    let world = World::new();
    let mut bytes = content(700, 1);
    bytes.extend([0; 10 * BLOCK_LEN]);
    let first = world.cut(2, &bytes, None, &[]);
    assert_eq!(first.reused, 0);
    assert!(first.index.entries().last().unwrap().is_zero());
    let again = world.cut(2, &bytes, None, std::slice::from_ref(&first.index));
    assert_eq!(again.reused as usize, again.entries);
    assert_eq!(again.index, first.index);

    bytes[100 * BLOCK_LEN] ^= 1;
    let changed = world.cut(2, &bytes, None, std::slice::from_ref(&first.index));
    assert!(changed.reused > 0 && (changed.reused as usize) < changed.entries);
    for entry in changed.index.objects() {
        let stored = world.store.read(entry.object, entry.stored_len.into()).unwrap();
        let mut plain = Vec::new();
        codec::decode(&stored, entry.plain_len as usize, &mut plain).unwrap();
        assert_eq!(ChunkId::of(&plain), entry.chunk);
    }
}

#[test]
fn an_image_gets_its_verity_tree_at_the_same_time() {
    let world = World::new();
    let bytes = content(300, 2);
    drop(world.file(&bytes));
    let mut batch = world.store.batch().unwrap();
    let chunking = Chunking {
        map: None,
        known: &Known::new(),
        compression: Compression::Fast,
        batch: &mut batch,
        progress: &|_| {},
    };
    let salt = Sha256::of(b"salt");
    let path = world.dir.path().join("artifact");
    let chunked = store_image(&path, bytes.len() as u64, salt, chunking).unwrap();
    let mut builder = verity::Builder::new(salt, bytes.len() as u64).unwrap();
    builder.update(&bytes);
    assert_eq!(chunked.tree, builder.finish().unwrap());
    assert_eq!(chunked.chunks.index, expected(&bytes, None));
}

#[test]
fn a_file_that_shrinks_and_a_map_of_another_image_are_refused() {
    let world = World::new();
    let bytes = content(300, 3);
    let cut = |size: u64, map: Option<&FileMap>| {
        let mut batch = world.store.batch().unwrap();
        let chunking = Chunking {
            map,
            known: &Known::new(),
            compression: Compression::Fast,
            batch: &mut batch,
            progress: &|_| {},
        };
        store_on(2, &world.file(&bytes), size, chunking).unwrap_err()
    };
    let error = cut(bytes.len() as u64 + 1, None);
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    assert_eq!(kind, Some(io::ErrorKind::UnexpectedEof), "{error:#}");
    let map = FileMap::new(vec![0, 5], 299).unwrap();
    let error = cut(bytes.len() as u64, Some(&map)).to_string();
    assert_eq!(error, "the file map is of an image of 1224704 bytes, found 1228800");
}

#[test]
fn what_the_receiver_fails_with_ends_it() {
    let world = World::new();
    let bytes = content(2000, 4);
    let mut received = 0;
    let result = pipeline::run(
        &world.file(&bytes),
        bytes.len() as u64,
        None,
        (&Known::new(), Compression::Fast),
        3,
        &mut |_, _| {
            received += 1;
            anyhow::ensure!(received < 5, "enough");
            Ok(())
        },
    );
    assert_eq!(result.unwrap_err().to_string(), "enough");
    assert_eq!(received, 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_number_of_threads_gives_the_same_index(
        parts in prop::collection::vec((1usize..300, any::<bool>(), 0u64..20), 1..10),
        tail in prop_oneof![Just(0), 1..BLOCK_LEN],
        with_map in any::<bool>(),
    ) {
        let tail = if with_map { 0 } else { tail };
        let mut starts = Vec::new();
        let mut bytes = Vec::new();
        for (blocks, zero, seed) in parts {
            starts.push((bytes.len() / BLOCK_LEN) as u32);
            bytes.extend(if zero { vec![0; blocks * BLOCK_LEN] } else { content(blocks, seed) });
        }
        bytes.extend(vec![1; tail]);
        let map = FileMap::new(starts, (bytes.len() / BLOCK_LEN) as u32).unwrap();
        let map = with_map.then_some(&map);
        let expected = expected(&bytes, map);
        for threads in [1, 2, 5] {
            let world = World::new();
            prop_assert_eq!(&world.cut(threads, &bytes, map, &[]).index, &expected);
        }
    }
}

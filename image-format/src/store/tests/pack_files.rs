//! Packs: what is in them is found, and what is no pack is named and holds nothing.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::pack::{PackError, PackId, Row, encode, read_table};
use super::{put, store, visible};
use crate::ObjectId;
use crate::store::{Counts, Store, StoreError};

fn contents(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|number| vec![number; 100 + usize::from(number)]).collect()
}

fn put_all(store: &Store, contents: &[Vec<u8>]) -> Counts {
    put(store, &contents.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap()
}

fn files_in(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn packs(store: &Store) -> Vec<PathBuf> {
    files_in(&store.path().join("packs"))
}

fn bad_packs(store: &Store) -> Vec<(PathBuf, Arc<PackError>)> {
    let problem = |item| match item {
        Ok(_) => None,
        Err(StoreError::BadPack { path, source }) => Some((path, source)),
        Err(other) => panic!("{other}"),
    };
    store.list().filter_map(problem).collect()
}

#[test]
fn small_objects_share_a_file_and_large_ones_have_their_own() {
    let (_dir, store) = store();
    let mut all = contents(20);
    all.push(Vec::new());
    all.push(vec![1; 1 << 20]);
    let other = Store::open(store.path()).unwrap();
    assert!(!other.contains(ObjectId::of(&all[0])).unwrap());
    assert_eq!(put_all(&store, &all).stored, 22);
    assert_eq!((packs(&store).len(), files_in(&store.path().join("objects")).len()), (1, 1));
    let ids: BTreeSet<_> = all.iter().map(|bytes| ObjectId::of(bytes)).collect();
    for store in [&store, &other] {
        assert_eq!(visible(store), ids);
        for bytes in &all {
            let id = ObjectId::of(bytes);
            let size = bytes.len() as u64;
            assert_eq!(store.size(id).unwrap(), Some(size));
            assert_eq!(&store.read(id, size).unwrap(), bytes);
            assert_eq!(store.verify_object(id).unwrap(), size);
            let extent = store.open_object(id).unwrap().unwrap();
            let mut read = vec![0; bytes.len() + 7];
            assert_eq!(extent.read_at(&mut read, 0).unwrap(), bytes.len());
            assert_eq!(&read[..bytes.len()], bytes);
            assert_eq!(extent.read_at(&mut read, size).unwrap(), 0);
        }
    }
    let id = ObjectId::of(&all[9]);
    assert!(matches!(store.read(id, 5), Err(StoreError::TooLarge { max: 5, found: 109, .. })));
}

#[test]
fn an_object_in_several_places_is_one_object() {
    let (_dir, store) = store();
    let all = contents(9);
    // Two at once do not know of each other.
    let (mut first, mut second) = (store.batch().unwrap(), store.batch().unwrap());
    for bytes in &all[..6] {
        first.put(bytes).unwrap();
    }
    for bytes in &all[3..] {
        second.put(bytes).unwrap();
    }
    let loose = store.object_file(ObjectId::of(&all[4]));
    std::fs::create_dir_all(loose.parent().unwrap()).unwrap();
    std::fs::write(&loose, &all[4]).unwrap();
    first.commit().unwrap();
    second.commit().unwrap();
    assert_eq!(packs(&store).len(), 2);
    let listed: Vec<_> = store.list().collect::<Result<_, _>>().unwrap();
    assert_eq!(listed.len(), 9);
    assert_eq!(put_all(&store, &all), Counts { stored: 0, stored_bytes: 0, present: 9 });
}

#[test]
fn a_damaged_copy_does_not_hide_a_good_one() {
    let (_dir, store) = store();
    let all = contents(9);
    put_all(&store, &all);
    let id = ObjectId::of(&all[4]);
    let pack = packs(&store).remove(0);
    let mut bytes = std::fs::read(&pack).unwrap();
    let at = bytes.windows(all[4].len()).position(|window| window == all[4]).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&pack, &bytes).unwrap();
    for result in [store.read(id, 999).map(drop), store.verify_object(id).map(drop)] {
        assert!(matches!(result, Err(StoreError::Digest { expected, .. }) if expected == id));
    }
    store.verify_object(ObjectId::of(&all[5])).unwrap();
    let loose = store.object_file(id);
    std::fs::create_dir_all(loose.parent().unwrap()).unwrap();
    std::fs::write(&loose, &all[4]).unwrap();
    assert_eq!(store.read(id, 999).unwrap(), all[4]);
    assert_eq!(store.verify_object(id).unwrap(), 104);
}

#[test]
fn packs_that_are_taken_away_and_come_back_are_noticed() {
    let (dir, store) = store();
    let all = contents(9);
    put_all(&store, &all);
    let id = ObjectId::of(&all[4]);
    let held = store.open_object(id).unwrap().unwrap();
    let pack = packs(&store).remove(0);
    let away = dir.path().join("away");
    std::fs::rename(&pack, &away).unwrap();
    assert_eq!(visible(&store), BTreeSet::new());
    assert!(!store.contains(id).unwrap() && store.open_object(id).unwrap().is_none());
    let mut bytes = vec![0; all[4].len()];
    held.read_at(&mut bytes, 0).unwrap();
    assert_eq!(bytes, all[4], "who has it open can go on");
    std::fs::rename(&away, &pack).unwrap();
    assert_eq!(store.read(id, 999).unwrap(), all[4]);
}

/// A pack of these rows over `len` bytes of objects, and the name that belongs to it.
fn made_up(rows: &[(u8, u64, u32)], len: u64) -> (PackId, Vec<u8>) {
    let row = |&(id, offset, len): &(u8, u64, u32)| Row { id: ObjectId::from_bytes([id; 32]), offset, len };
    let (id, table) = encode(&mut rows.iter().map(row).collect::<Vec<_>>(), len);
    let mut bytes = vec![7; len as usize];
    bytes.extend(table);
    (id, bytes)
}

/// As [`made_up`], with the table as it stands, and digests that fit.
fn signed(objects: usize, table: &[u8], count: u32, at: u64) -> (PackId, Vec<u8>) {
    let digest = blake3::hash(table);
    let mut bytes = vec![7; objects];
    bytes.extend(table);
    bytes.extend(b"BSCLPCK1");
    bytes.extend(count.to_le_bytes());
    bytes.extend(at.to_le_bytes());
    bytes.extend(digest.as_bytes());
    (PackId::of_file_name(&format!("{}.pack", digest.to_hex())).unwrap(), bytes)
}

#[test]
fn hostile_packs_are_named_and_hold_nothing() {
    let (id, good) = made_up(&[(1, 0, 10), (2, 10, 20)], 30);
    let changed = |change: fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        (id, bytes)
    };
    let end = good.len();
    assert_eq!(end, 30 + 2 * 44 + 52);
    let backwards: Vec<u8> = {
        let table = &good[30..30 + 88];
        [&table[44..], &table[..44]].concat()
    };
    let twice = [&good[30..74], &good[30..74]].concat();
    let other_name = (PackId::of_file_name(&format!("{}.pack", "00".repeat(32))).unwrap(), good.clone());
    type Expected = fn(&PackError) -> bool;
    type Case<'a> = (&'a str, (PackId, Vec<u8>), Expected);
    let cases: Vec<Case<'_>> = vec![
        ("empty", changed(Vec::clear), |e| matches!(e, PackError::Footer)),
        ("short", changed(|b| b.truncate(51)), |e| matches!(e, PackError::Footer)),
        ("cut", changed(|b| b.truncate(b.len() - 1)), |e| matches!(e, PackError::Footer)),
        ("cut in front", changed(|b| b.drain(..1).for_each(drop)), |e| matches!(e, PackError::Length { .. })),
        ("longer in front", changed(|b| b.insert(0, 0)), |e| matches!(e, PackError::Length { .. })),
        ("longer", changed(|b| b.push(0)), |e| matches!(e, PackError::Footer)),
        ("magic", changed(|b| b[118] ^= 1), |e| matches!(e, PackError::Footer)),
        ("count", changed(|b| b[126] ^= 1), |e| matches!(e, PackError::Length { count: 3, .. })),
        ("all ones", changed(|b| b[126..138].fill(0xff)), |e| {
            matches!(e, PackError::Length { count: u32::MAX, .. })
        }),
        ("place", changed(|b| b[130] ^= 1), |e| matches!(e, PackError::Length { table: 31, .. })),
        ("table", changed(|b| b[35] ^= 1), |e| matches!(e, PackError::TableDigest { said_by: "footer" })),
        ("digest", changed(|b| b[140] ^= 1), |e| matches!(e, PackError::TableDigest { said_by: "footer" })),
        ("name", other_name, |e| matches!(e, PackError::TableDigest { said_by: "file name" })),
        ("backwards", signed(30, &backwards, 2, 30), |e| matches!(e, PackError::Order { entry: 1 })),
        ("twice", signed(10, &twice, 2, 10), |e| matches!(e, PackError::Order { entry: 1 })),
        ("overlap", made_up(&[(1, 0, 20), (2, 10, 20)], 30), |e| {
            matches!(e, PackError::Extent { offset: 10, expected: 20, .. })
        }),
        ("gap", made_up(&[(1, 0, 10), (2, 11, 19)], 30), |e| {
            matches!(e, PackError::Extent { offset: 11, expected: 10, .. })
        }),
        ("not from the start", made_up(&[(1, 1, 29)], 30), |e| {
            matches!(e, PackError::Extent { expected: 0, .. })
        }),
        ("into the table", made_up(&[(1, 0, 10), (2, 10, 21)], 30), |e| {
            matches!(e, PackError::Extent { offset: 10, .. })
        }),
        ("wraps", made_up(&[(1, 0, 30), (2, u64::MAX - 3, 10)], 30), |e| {
            matches!(e, PackError::Extent { expected: 30, .. })
        }),
        ("not to the end", made_up(&[(1, 0, 10)], 30), |e| {
            matches!(e, PackError::Extent { expected: 30, .. })
        }),
        ("nothing in it", made_up(&[], 30), |e| matches!(e, PackError::Length { count: 0, .. })),
    ];
    for (what, (id, bytes), expected) in cases {
        let (_dir, store) = store();
        put_all(&store, &contents(5));
        let path = store.path().join("packs").join(id.file_name());
        std::fs::write(&path, bytes).unwrap();
        let [(found, error)] = &bad_packs(&store)[..] else { panic!("{what}") };
        assert_eq!(found, &path, "{what}");
        assert!(expected(error), "{what}: {error:?}");
        assert_eq!(store.list().filter(Result::is_ok).count(), 5, "{what}");
        for byte in [1, 2] {
            assert!(!store.contains(ObjectId::from_bytes([byte; 32])).unwrap(), "{what}");
        }
        store.read(ObjectId::of(&contents(5)[3]), 999).unwrap();
    }
}

#[test]
fn something_else_in_a_packs_place_is_named() {
    let (dir, store) = store();
    put_all(&store, &contents(5));
    let pack = packs(&store).remove(0);
    let away = dir.path().join("away");
    std::fs::rename(&pack, &away).unwrap();
    let link = || symlink(&away, &pack).unwrap();
    let fifo = || {
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, &pack, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    for (make, name) in [(&link as &dyn Fn(), "a symbolic link"), (&fifo, "a FIFO")] {
        make();
        let [(path, error)] = &bad_packs(&store)[..] else { panic!("{name}") };
        assert_eq!(path, &pack);
        assert!(matches!(**error, PackError::NotAFile { found } if found == name), "{error:?}");
        std::fs::remove_file(&pack).unwrap();
    }
    for name in ["README", "x.pack", &format!("{}.pack.tmp", "0".repeat(64))] {
        std::fs::write(store.path().join("packs").join(name), b"").unwrap();
    }
    let strays = store.list().filter(|item| matches!(item, Err(StoreError::Stray { .. }))).count();
    assert_eq!((strays, store.list().count()), (3, 3));
    assert_eq!(put_all(&store, &contents(5)).stored, 5, "the same pack again");
    assert_eq!(store.list().filter(Result::is_ok).count(), 5);
}

#[test]
fn a_pack_with_a_damaged_table_is_healed_by_putting_again() {
    let (_dir, store) = store();
    put_all(&store, &contents(5));
    let pack = packs(&store).remove(0);
    let good = std::fs::read(&pack).unwrap();
    let mut bad = good.clone();
    let table = good.len() - 100;
    bad[table] ^= 4;
    std::fs::remove_file(&pack).unwrap();
    std::fs::write(&pack, bad).unwrap();
    assert_eq!((bad_packs(&store).len(), store.list().count()), (1, 1));
    assert_eq!(put_all(&store, &contents(5)).stored, 5);
    assert_eq!((bad_packs(&store).len(), store.list().count()), (0, 5));
    assert_eq!(std::fs::read(&pack).unwrap(), good, "the same objects make the same pack");
}

#[test]
fn more_than_a_pack_may_hold_goes_into_the_next() {
    let (_dir, store) = store();
    let mut batch = store.batch().unwrap();
    let mut block = vec![0; 999_999];
    for number in 0..140u32 {
        block[..4].copy_from_slice(&number.to_le_bytes());
        assert!(batch.put_hashed(ObjectId::of(&block), &block).unwrap().new);
    }
    assert_eq!(batch.commit().unwrap().stored, 140);
    let sizes: Vec<u64> = packs(&store).iter().map(|path| path.metadata().unwrap().len()).collect();
    assert_eq!(sizes.len(), 2);
    assert!(sizes.iter().all(|size| *size < (129 << 20)), "{sizes:?}");
    assert_eq!(visible(&store).len(), 140);
    store.verify_object(ObjectId::of(&block)).unwrap();
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn table_of(bytes: &[u8], name: PackId) -> Result<Vec<Row>, PackError> {
        let file = tempfile::tempfile_in("/dev/shm").or_else(|_| tempfile::tempfile()).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, bytes, 0).unwrap();
        read_table(&file, bytes.len() as u64, name)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(lens in prop::collection::vec(0u32..5000, 1..60)) {
            let mut rows = Vec::new();
            let mut offset = 0;
            for (number, len) in lens.iter().enumerate() {
                rows.push(Row { id: ObjectId::of(&number.to_le_bytes()), offset, len: *len });
                offset += u64::from(*len);
            }
            let (id, table) = encode(&mut rows, offset);
            let bytes = [vec![0; offset as usize], table].concat();
            prop_assert_eq!(table_of(&bytes, id).unwrap(), rows);
        }

        #[test]
        fn a_flipped_bit_is_noticed(at in 30usize..170, bit in 0u8..8) {
            let (id, mut bytes) = made_up(&[(1, 0, 10), (2, 10, 20)], 30);
            bytes[at] ^= 1 << bit;
            prop_assert!(table_of(&bytes, id).is_err());
        }

        #[test]
        fn foreign_bytes_never_panic(table in prop::collection::vec(any::<u8>(), 0..200), count in 0u32..6, at in 0u64..50) {
            let (id, bytes) = signed(at as usize, &table, count, at);
            if let Ok(rows) = table_of(&bytes, id) {
                prop_assert!(rows.iter().all(|row| row.offset + u64::from(row.len) <= at));
            }
        }
    }
}

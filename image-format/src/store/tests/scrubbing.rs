//! Scrubs: what is damaged × where × what is there to repair it.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::{put, store, visible};
use crate::ObjectId;
use crate::store::scrub::{Scrub, Scrubbed};
use crate::store::{Store, StoreError, fault};

fn contents() -> Vec<Vec<u8>> {
    let mut all: Vec<_> = (0..8u8).map(|number| vec![number; 1000 + usize::from(number)]).collect();
    all.push(vec![9; 3 << 20]);
    all
}

fn filled() -> (tempfile::TempDir, Store) {
    let (dir, store) = store();
    put(&store, &contents().iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    (dir, store)
}

fn ids() -> BTreeSet<ObjectId> {
    contents().iter().map(|bytes| ObjectId::of(bytes)).collect()
}

fn nothing(_: ObjectId, _: Option<u64>) -> Option<Vec<u8>> {
    None
}

/// As from another store, which is not to be trusted either.
fn everything(id: ObjectId, size: Option<u64>) -> Option<Vec<u8>> {
    let found = contents().into_iter().find(|bytes| ObjectId::of(bytes) == id)?;
    assert!(size.is_none_or(|size| size > 0));
    Some(found)
}

fn scrub(store: &Store, repair: &mut super::super::scrub::Repair<'_>) -> Result<Scrubbed, StoreError> {
    let mut scrub = Scrub::new(store)?;
    while !scrub.step(1 << 20, repair)? {}
    Ok(scrub.report().clone())
}

fn quarantine(store: &Store) -> BTreeSet<String> {
    let Ok(listing) = std::fs::read_dir(store.path().join("quarantine")) else { return BTreeSet::new() };
    listing.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn pack(store: &Store) -> PathBuf {
    let mut packs = std::fs::read_dir(store.path().join("packs")).unwrap().map(|entry| entry.unwrap().path());
    let pack = packs.next().unwrap();
    assert_eq!(packs.next(), None);
    pack
}

fn change(path: &std::path::Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// Flips a bit of an object in the pack.
fn flip(store: &Store, number: usize) -> ObjectId {
    let wanted = &contents()[number];
    change(&pack(store), |bytes| {
        let at = bytes.windows(wanted.len()).position(|window| window == wanted).unwrap();
        bytes[at + 500] ^= 1;
    });
    ObjectId::of(wanted)
}

#[test]
fn a_sound_store_stays_as_it_is_however_small_the_steps() {
    let (_dir, store) = filled();
    let expected = Scrubbed { objects: 9, bytes: (3 << 20) + 8 * 1000 + 28, ..Scrubbed::default() };
    for budget in [1, 1000, 1 << 20, u64::MAX] {
        let mut scrub = Scrub::new(&store).unwrap();
        let mut steps = 0;
        while !scrub.step(budget, &mut nothing).unwrap() {
            steps += 1;
        }
        assert_eq!(scrub.report(), &expected);
        assert!(budget > 1 << 20 || steps >= 3, "{budget}: {steps}");
    }
    assert_eq!((visible(&store), quarantine(&store).len()), (ids(), 0));
}

#[test]
fn damaged_files_are_moved_away_and_repaired() {
    let large = ObjectId::of(&contents()[8]);
    type Damage = fn(&Store, ObjectId);
    let damages: [(&str, Damage); 6] = [
        ("flipped", |store, id| change(&store.object_file(id), |bytes| bytes[77] ^= 1)),
        ("cut", |store, id| change(&store.object_file(id), |bytes| bytes.truncate(99))),
        ("longer", |store, id| change(&store.object_file(id), |bytes| bytes.push(0))),
        ("emptied", |store, id| change(&store.object_file(id), Vec::clear)),
        ("a link", |store, id| {
            std::fs::remove_file(store.object_file(id)).unwrap();
            symlink("/etc/passwd", store.object_file(id)).unwrap();
        }),
        ("a FIFO", |store, id| {
            std::fs::remove_file(store.object_file(id)).unwrap();
            let mode = rustix::fs::Mode::from_raw_mode(0o644);
            let fifo = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, store.object_file(id), fifo, mode, 0).unwrap();
        }),
    ];
    for (what, damage) in damages {
        for repaired in [0, 1] {
            let (_dir, store) = filled();
            damage(&store, large);
            let mut repair = if repaired == 1 { everything } else { nothing };
            let found = scrub(&store, &mut repair).unwrap();
            let counts = (found.objects, found.damaged, found.quarantined, found.repaired);
            assert_eq!(counts, (9, 1, 1, repaired), "{what}");
            assert_eq!(found.named, [large]);
            assert_eq!(quarantine(&store), BTreeSet::from([large.to_string()]), "{what}");
            assert_eq!(store.verify_object(large).is_ok(), repaired == 1, "{what}");
            assert_eq!(visible(&store).len(), 8 + repaired as usize, "{what}");
            assert_eq!(scrub(&store, &mut nothing).unwrap().damaged, 0, "{what}");
        }
    }
}

#[test]
fn a_pack_is_written_again_without_what_is_damaged() {
    for repaired in [0, 2] {
        let (_dir, store) = filled();
        let other = Store::open(store.path()).unwrap();
        assert!(other.contains(ObjectId::of(&contents()[1])).unwrap());
        let before = pack(&store);
        let damaged = BTreeSet::from([flip(&store, 3), flip(&store, 5)]);
        let mut repair = if repaired == 2 { everything } else { nothing };
        let found = scrub(&store, &mut repair).unwrap();
        let counts = (found.objects, found.damaged, found.quarantined, found.repaired);
        assert_eq!(counts, (9, 2, 2, repaired));
        assert_eq!(quarantine(&store), damaged.iter().map(ToString::to_string).collect());
        for bytes in &contents() {
            let id = ObjectId::of(bytes);
            let good = repaired == 2 || !damaged.contains(&id);
            assert_eq!(store.verify_object(id).is_ok(), good);
        }
        // With all objects there again it is the same pack, as it should have been.
        assert_eq!(pack(&store) == before, repaired == 2);
        std::thread::sleep(std::time::Duration::from_millis(120));
        let missing = damaged.iter().filter(|id| !other.contains(**id).unwrap()).count();
        assert_eq!(missing, 2 - repaired as usize, "another process has noticed");
    }
}

#[test]
fn another_copy_in_the_same_store_repairs() {
    let (_dir, store) = filled();
    let id = flip(&store, 3);
    let loose = store.object_file(id);
    std::fs::create_dir_all(loose.parent().unwrap()).unwrap();
    std::fs::write(&loose, &contents()[3]).unwrap();
    let found = scrub(&store, &mut nothing).unwrap();
    assert_eq!((found.damaged, found.quarantined, found.repaired), (1, 1, 1));
    store.verify_object(id).unwrap();
    change(&loose, |bytes| bytes[0] ^= 1);
    let found = scrub(&store, &mut nothing).unwrap();
    assert_eq!((found.damaged, found.quarantined, found.repaired), (1, 1, 1), "the pack has it");
    assert!(!loose.exists());
    assert_eq!(visible(&store), ids());
}

#[test]
fn wrong_bytes_do_not_repair() {
    let (_dir, store) = filled();
    let id = flip(&store, 3);
    let found = scrub(&store, &mut |_, _| Some(b"anything".to_vec())).unwrap();
    assert_eq!((found.damaged, found.repaired), (1, 0));
    assert!(!store.contains(id).unwrap());
}

#[test]
fn of_a_damaged_table_everything_is_saved_that_can_be_told() {
    let (_dir, good) = filled();
    let len = std::fs::metadata(pack(&good)).unwrap().len() as usize;
    let (footer, table) = (len - 52, len - 52 - 8 * 44);
    type Case<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>), usize);
    let cases: [Case<'_>; 8] = [
        ("an id", &|bytes| bytes[table + 44] ^= 1, 7),
        ("an offset", &|bytes| bytes[table + 88 + 32] ^= 1, 7),
        ("a length out of range", &|bytes| bytes[table + 43] = 0xff, 7),
        ("the magic", &|bytes| bytes[footer] ^= 1, 8),
        ("the count", &|bytes| bytes[footer + 8] ^= 1, 8),
        ("the place of the table", &|bytes| bytes[footer + 12] ^= 1, 8),
        ("the digest", &|bytes| bytes[footer + 30] ^= 1, 8),
        ("the end", &|bytes| bytes.truncate(len - 1), 0),
    ];
    for (what, damage, saved) in cases {
        let (_dir, store) = filled();
        let path = pack(&store);
        change(&path, damage);
        assert_eq!(visible_and_bad(&store), (1, 1), "{what}");
        let found = scrub(&store, &mut nothing).unwrap();
        assert_eq!(found.bad_packs, 1, "{what}");
        assert_eq!(visible_and_bad(&store), (1 + saved, 0), "{what}");
        // What is whole again has taken the damaged one's place.
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let kept = if saved == 8 { BTreeSet::new() } else { BTreeSet::from([name]) };
        assert_eq!(quarantine(&store), kept, "{what}");
        assert_eq!(scrub(&store, &mut nothing).unwrap().bad_packs, 0, "{what}");
    }
}

fn visible_and_bad(store: &Store) -> (usize, usize) {
    let (good, bad): (Vec<_>, Vec<_>) = store.list().partition(Result::is_ok);
    (good.len(), bad.len())
}

#[test]
fn a_check_changes_nothing() {
    let (_dir, store) = filled();
    flip(&store, 3);
    std::fs::write(store.path().join("packs").join(format!("{}.pack", "7".repeat(64))), b"no pack").unwrap();
    change(&store.object_file(ObjectId::of(&contents()[8])), |bytes| bytes[0] ^= 1);
    let before = (std::fs::read(pack_of_objects(&store)).unwrap(), visible_and_bad(&store));
    let mut check = Scrub::check_only(&store).unwrap();
    while !check.step(1 << 20, &mut everything).unwrap() {}
    let found = check.report();
    assert_eq!((found.objects, found.damaged, found.bad_packs), (9, 2, 1));
    assert_eq!((found.quarantined, found.repaired, found.named.len()), (0, 0, 2));
    assert_eq!((std::fs::read(pack_of_objects(&store)).unwrap(), visible_and_bad(&store)), before);
    assert!(quarantine(&store).is_empty());
}

fn pack_of_objects(store: &Store) -> PathBuf {
    let packs = std::fs::read_dir(store.path().join("packs")).unwrap().map(|entry| entry.unwrap().path());
    packs.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

/// A scrub that dies, or whose disk is full, at any operation: what was good is there, and the next one completes.
#[test]
fn dying_at_any_operation_loses_nothing_good() {
    for repaired in [false, true] {
        for after in 0.. {
            let (_dir, store) = filled();
            let damaged = [flip(&store, 2), ObjectId::of(&contents()[8])];
            change(&store.object_file(damaged[1]), |bytes| bytes[0] ^= 1);
            let good: Vec<_> = ids().into_iter().filter(|id| !damaged.contains(id)).collect();
            let mut repair = if repaired { everything } else { nothing };
            let (result, reached) = fault::dying_after(after, || scrub(&store, &mut repair));
            assert_eq!(result.as_ref().is_err_and(StoreError::is_full), reached, "{result:?}");
            for id in &good {
                store.verify_object(*id).unwrap();
            }
            scrub(&store, &mut repair).unwrap();
            let now = visible(&store);
            assert!(now.iter().all(|id| store.verify_object(*id).is_ok()));
            // What was moved away before the death is not missed by a scrub, but by those who need it.
            assert!(now.len() >= good.len(), "operation {after}");
            drop(store.batch().unwrap());
            assert_eq!(std::fs::read_dir(store.path().join("tmp")).unwrap().count(), 0);
            if !reached {
                assert_eq!(now.len(), if repaired { 9 } else { 7 });
                assert!(after > 10, "{after} operations");
                break;
            }
        }
    }
}

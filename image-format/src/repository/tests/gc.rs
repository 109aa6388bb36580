//! Collections: what stays, what goes, and that nothing needed is ever gone.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use signing::repo::Section;

use super::deaths::copy_dir;
use super::patches::Two;
use super::publisher::{NOW, Publisher, image, stored_image};
use crate::index::{INDEX_MAX, Index};
use crate::patch::SegmentTable;
use crate::repository::{CollectError, Collection, Repository, load_view};
use crate::store::tests::{scratch, store};
use crate::store::{Collected, Store, StoreError, fault};
use crate::{Manifest, ObjectId};

const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) const NOW_OLD: Collection<'static> = Collection { grace: DAY, keep: &[], dry_run: false };

fn collect(store: &Store) -> Result<Collected, CollectError> {
    NOW_OLD.run(store)
}

/// Everything in the store has been there for ten days.
pub(super) fn age(dir: &Path) {
    let then = SystemTime::now() - 10 * DAY;
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            age(&entry.path());
        } else {
            let file = std::fs::File::options().append(true).open(entry.path()).unwrap();
            file.set_modified(then).unwrap();
        }
    }
}

fn objects(store: &Store) -> BTreeSet<ObjectId> {
    store.list().collect::<Result<_, _>>().unwrap()
}

fn objects_of(store: &Store, manifest: &Manifest) -> BTreeSet<ObjectId> {
    let index = Index::parse(&store.read(manifest.root.index.id, INDEX_MAX).unwrap()).unwrap();
    let chunks: Vec<_> = index.objects().map(|entry| entry.object).collect();
    manifest.objects().map(|(_, object)| object.id).chain(chunks).collect()
}

fn packs(store: &Store) -> usize {
    std::fs::read_dir(store.path().join("packs")).unwrap().count()
}

/// Everything that is published is there, whole.
pub(super) fn assert_whole(store: &Store) {
    let view = load_view(store).unwrap().unwrap();
    for (_, manifest) in view.images.values() {
        for id in objects_of(store, manifest) {
            store.verify_object(id).unwrap();
        }
    }
}

/// Two images, the first not published any more; all of it old.
fn one_of_two(store: &Store) -> (Publisher, Manifest, Manifest) {
    let mut admin = Publisher::new();
    let (one, two) = (stored_image(store, "ha@1", "one"), stored_image(store, "ha@2", "two"));
    admin.list(&one);
    admin.list(&two);
    Repository::open(store).commit(admin.upload(), NOW).unwrap();
    admin.unlist(Section::Releases, &one.name.target_path());
    Repository::open(store).commit(admin.upload(), NOW).unwrap();
    age(store.path());
    (admin, one, two)
}

#[test]
fn what_nothing_refers_to_goes_and_the_rest_stays() {
    let (_dir, store) = store();
    let (_, one, two) = one_of_two(&store);
    let (of_one, of_two) = (objects_of(&store, &one), objects_of(&store, &two));
    let gone = of_one.difference(&of_two).count() as u64;
    assert_eq!(gone, 4, "chunk, index, kernel, files");
    let large = vec![7; 2 << 20];
    let mut batch = store.batch().unwrap();
    batch.put(&large).unwrap();
    batch.commit().unwrap();
    age(store.path());

    let forecast = Collection { dry_run: true, ..NOW_OLD }.run(&store).unwrap();
    assert_eq!(objects(&store).len(), of_one.union(&of_two).count() + 1);
    let held = store.open_object(one.kernel.object.id).unwrap().unwrap();
    let done = collect(&store).unwrap();
    assert_eq!(Collected { freed_bytes: forecast.freed_bytes, ..done }, forecast);
    let expected = Collected {
        referenced: of_two.len() as u64,
        removed_objects: gone + 1,
        removed_files: 1,
        removed_packs: 1,
        new_packs: 1,
        freed_bytes: done.freed_bytes,
        ..Collected::default()
    };
    assert_eq!(done, expected);
    assert!((2 << 20..3 << 20).contains(&done.freed_bytes), "{done:?}");
    assert_eq!(objects(&store), of_two);
    assert_whole(&store);
    let mut bytes = vec![0; one.kernel.object.size as usize];
    held.read_at(&mut bytes, 0).unwrap();
    assert_eq!(ObjectId::of(&bytes), one.kernel.object.id, "a slow reader reads on");

    age(store.path());
    let again = collect(&store).unwrap();
    assert_eq!(again, Collected { referenced: of_two.len() as u64, ..Collected::default() });
}

#[test]
fn what_is_young_or_was_touched_stays() {
    let (_dir, store) = store();
    let (_, one, _) = one_of_two(&store);
    let before = objects(&store);
    // Somebody asks, is told that it is there, and relies on it.
    assert_eq!(store.missing([one.kernel.object.id]).unwrap(), []);
    let done = collect(&store).unwrap();
    assert_eq!((done.young, done.removed_objects, done.removed_packs), (4, 0, 0));
    age(store.path());
    let mut batch = store.batch().unwrap();
    let again = image("ha@1", "one");
    for bytes in &again.objects {
        assert!(!batch.put(bytes).unwrap().new);
    }
    assert_eq!(collect(&store).unwrap().removed_objects, 0);
    assert_eq!(objects(&store), before);
    drop(batch);
    age(store.path());
    assert_eq!(collect(&store).unwrap().removed_objects, 4);
}

#[test]
fn what_was_replaced_within_the_grace_period_stays() {
    let (_dir, store) = store();
    let mut admin = Publisher::new();
    let one = stored_image(&store, "ha@1", "one");
    admin.list(&one);
    Repository::open(&store).commit(admin.upload(), NOW).unwrap();
    admin.unlist(Section::Releases, &one.name.target_path());
    admin.list(&stored_image(&store, "ha@2", "two"));
    Repository::open(&store).commit(admin.upload(), NOW).unwrap();
    let metadata = store.path().join("tuf/metadata");
    let objects_only = || ["objects", "packs"].iter().for_each(|dir| age(&store.path().join(dir)));
    objects_only();
    let before = objects(&store);
    assert_eq!(collect(&store).unwrap().removed_objects, 0);
    assert_eq!(objects(&store), before);
    // The pins have nothing to do with it.
    age(&metadata);
    objects_only();
    let pin = metadata.join("1.pins.json");
    std::fs::File::options().append(true).open(&pin).unwrap().set_modified(SystemTime::now()).unwrap();
    assert_eq!(collect(&store).unwrap().removed_objects, 4);
    assert_whole(&store);
}

#[test]
fn patches_and_what_they_list_stay() {
    let (_dir, store) = store();
    let mut two = Two::new(&store);
    let patches = two.patches();
    two.offer(&patches).unwrap();
    age(store.path());
    let before = objects(&store);
    let done = collect(&store).unwrap();
    assert_eq!((done.removed_objects, done.referenced), (0, before.len() as u64));
    for (table, _) in patches.tables() {
        let table = SegmentTable::parse(&store.read(table.id, 9999).unwrap()).unwrap();
        for segment in table.segments() {
            store.verify_object(segment.object).unwrap();
        }
    }
    two.admin.unlist(Section::Releases, "images/@patches.ha@2.json");
    two.commit().unwrap();
    age(store.path());
    let done = collect(&store).unwrap();
    let listed: BTreeSet<_> = patches.objects().map(|(_, object)| object.id).collect();
    assert!(done.removed_objects >= listed.len() as u64, "{done:?}");
    assert!(listed.is_disjoint(&objects(&store)));
    assert_whole(&store);
}

#[test]
fn builds_that_wait_for_a_signature_stay() {
    let (_dir, store) = store();
    one_of_two(&store);
    let build = stored_image(&store, "ha@3", "three");
    let incomplete = image("ha@4", "four").manifest;
    age(store.path());
    let keep = [build.clone(), incomplete];
    Collection { keep: &keep, ..NOW_OLD }.run(&store).unwrap();
    for id in objects_of(&store, &build) {
        store.verify_object(id).unwrap();
    }
    age(store.path());
    assert_eq!(collect(&store).unwrap().removed_objects, 4);
}

#[test]
fn a_publisher_that_holds_a_lease_keeps_what_he_has_touched() {
    let (_dir, store) = store();
    let (_, one, _) = one_of_two(&store);
    let lease = store.lease().unwrap();
    assert_eq!(store.missing([one.kernel.object.id]).unwrap(), []);
    let at_once = Collection { grace: Duration::ZERO, ..NOW_OLD };
    let done = at_once.run(&store).unwrap();
    assert_eq!((done.leases, done.removed_objects), (1, 0));
    drop(lease);
    // A dead publisher's lease counts for nothing, and goes.
    std::fs::write(store.path().join("leases/77-dead"), b"").unwrap();
    store.lease_remote(Duration::from_secs(600)).unwrap();
    let done = at_once.run(&store).unwrap();
    assert_eq!((done.leases, done.removed_objects), (1, 0));
    assert_eq!(std::fs::read_dir(store.path().join("leases")).unwrap().count(), 1);
    std::fs::write(store.path().join("leases/remote"), "1000 2000\n").unwrap();
    age(store.path());
    let done = at_once.run(&store).unwrap();
    assert_eq!((done.leases, done.removed_objects), (0, 4));
}

#[test]
fn without_knowledge_nothing_is_removed() {
    let (_dir, empty) = store();
    stored_image(&empty, "ha@1", "one");
    age(empty.path());
    assert!(matches!(collect(&empty), Err(CollectError::NothingPublished)));

    type Damage = fn(&Store, &Manifest);
    let damage: [(&str, Damage); 4] = [
        ("metadata", |store, _| {
            let path = store.path().join("tuf/metadata/2.releases.json");
            std::fs::write(path, b"{}").unwrap();
        }),
        ("manifest", |store, _| {
            let dir = std::fs::read_dir(store.path().join("tuf/targets/images")).unwrap();
            dir.for_each(|file| std::fs::remove_file(file.unwrap().path()).unwrap());
        }),
        ("damaged index", |store, two| {
            store.unpack().unwrap();
            std::fs::write(store.object_file(two.root.index.id), b"other").unwrap();
        }),
        ("no index", |store, two| {
            store.unpack().unwrap();
            std::fs::remove_file(store.object_file(two.root.index.id)).unwrap();
        }),
    ];
    for (what, damage) in damage {
        let (_dir, store) = store();
        let (_, _, two) = one_of_two(&store);
        damage(&store, &two);
        let before = objects(&store);
        age(store.path());
        let error = collect(&store).unwrap_err();
        let expected = match what {
            "damaged index" => {
                matches!(&error, CollectError::Read { source: StoreError::Digest { .. }, .. })
            }
            "no index" => matches!(&error, CollectError::Read { source: StoreError::Missing { .. }, .. }),
            _ => matches!(&error, CollectError::Load(_)),
        };
        assert!(expected, "{what}: {error:?}");
        assert_eq!(objects(&store), before, "{what}");
    }
}

#[test]
fn a_damaged_object_does_not_stop_the_rest_and_is_counted() {
    let (_dir, store) = store();
    let (_, _, two) = one_of_two(&store);
    let pack = store.path().join("packs");
    for entry in std::fs::read_dir(&pack).unwrap().map(Result::unwrap) {
        let mut bytes = std::fs::read(entry.path()).unwrap();
        if let Some(at) = bytes.windows(9).position(|window| window == b"initramfs") {
            bytes[at] ^= 1;
            std::fs::write(entry.path(), bytes).unwrap();
        }
    }
    age(store.path());
    let done = collect(&store).unwrap();
    assert_eq!((done.damaged_packs, done.removed_packs), (1, 0));
    assert!(matches!(store.read(two.initramfs.id, 99), Err(StoreError::Digest { .. })));
}

#[test]
fn many_small_files_and_packs_become_one() {
    let (_dir, store) = store();
    let mut admin = Publisher::new();
    for number in 0..40 {
        admin.list(&stored_image(&store, &format!("ha@{number}"), "content"));
    }
    Repository::open(&store).commit(admin.upload(), NOW).unwrap();
    let before = objects(&store);
    assert_eq!(packs(&store), 40);
    age(store.path());
    let done = collect(&store).unwrap();
    assert_eq!((done.removed_packs, done.new_packs, done.removed_objects), (40, 1, 0));
    assert_eq!((packs(&store), objects(&store)), (1, before.clone()));

    // As an older version has left it.
    store.unpack().unwrap();
    age(store.path());
    let done = collect(&store).unwrap();
    assert_eq!((done.removed_files, done.new_packs, done.removed_objects), (before.len() as u64, 1, 0));
    assert_eq!((packs(&store), objects(&store)), (1, before));
    assert_whole(&store);
}

#[test]
fn dying_at_any_operation_loses_nothing() {
    let (dir, origin) = store();
    let (_, _, two) = one_of_two(&origin);
    let loose = stored_image(&origin, "ha@9", "nine");
    origin.unpack().unwrap();
    one_more_pack(&origin);
    let expected = objects_of(&origin, &two);
    for after in 0.. {
        let copy = scratch();
        copy_dir(&dir.path().join("store"), &copy.path().join("store"));
        let store = Store::open(copy.path().join("store")).unwrap();
        age(store.path());
        let (result, reached) = fault::dying_after(after, || collect(&store));
        assert_eq!(result.is_err(), reached, "{result:?}");
        assert_whole(&store);
        age(store.path());
        collect(&store).unwrap();
        assert_whole(&store);
        assert_eq!(objects(&store), expected, "operation {after}");
        assert!(!store.contains(loose.kernel.object.id).unwrap());
        assert_eq!(std::fs::read_dir(store.path().join("tmp")).unwrap().count(), 0);
        if !reached {
            assert!(after > 12, "{after} operations");
            break;
        }
    }
}

/// A pack with live and dead objects.
fn one_more_pack(store: &Store) {
    let mut batch = store.batch().unwrap();
    for bytes in [&b"dead"[..], b"deader", b"deadest"] {
        batch.put(bytes).unwrap();
    }
    for path in
        std::fs::read_dir(store.path().join("objects")).unwrap().map(|entry| entry.unwrap().path()).take(3)
    {
        for file in std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()) {
            let bytes = std::fs::read(&file).unwrap();
            std::fs::remove_file(&file).unwrap();
            batch.put(&bytes).unwrap();
        }
    }
    batch.commit().unwrap();
}

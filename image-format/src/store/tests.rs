mod pack_files;
mod processes;
mod scrubbing;

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::{Counts, Store, StoreError, fault};
use crate::ObjectId;

/// In memory where the machine allows it: the tests sync a thousand times, and nothing here needs to survive.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(crate) fn store() -> (tempfile::TempDir, Store) {
    let dir = scratch();
    let store = Store::create(dir.path().join("store")).unwrap();
    (dir, store)
}

fn put(store: &Store, contents: &[&[u8]]) -> Result<Counts, StoreError> {
    let mut batch = store.batch()?;
    for bytes in contents {
        batch.put(bytes)?;
    }
    batch.commit()
}

fn visible(store: &Store) -> BTreeSet<ObjectId> {
    store.list().collect::<Result<_, _>>().unwrap()
}

fn leftovers(store: &Store) -> usize {
    std::fs::read_dir(store.tmp()).unwrap().count()
}

#[test]
fn objects_come_back_and_are_stored_once() {
    let (_dir, store) = store();
    let first = put(&store, &[b"one", b"two", b"one"]).unwrap();
    assert_eq!(first, Counts { stored: 2, stored_bytes: 6, present: 1 });
    assert_eq!(put(&store, &[b"two"]).unwrap(), Counts { stored: 0, stored_bytes: 0, present: 1 });
    let id = ObjectId::of(b"one");
    assert_eq!(store.read(id, 3).unwrap(), b"one");
    assert_eq!((store.size(id).unwrap(), store.contains(id).unwrap()), (Some(3), true));
    assert_eq!(store.verify_object(id).unwrap(), 3);
    assert_eq!(visible(&store), BTreeSet::from([id, ObjectId::of(b"two")]));
    let mode = store.object_file(id).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    assert_eq!(leftovers(&store), 0);
    assert_eq!(Store::open(store.path()).unwrap(), store);
}

#[test]
fn a_file_is_taken_as_it_is() {
    let (dir, store) = store();
    let path = dir.path().join("kernel");
    let content = vec![7; 3 << 20];
    std::fs::write(&path, &content).unwrap();
    let mut batch = store.batch().unwrap();
    let object = batch.put_file(&path).unwrap();
    assert_eq!((object.id, object.size), (ObjectId::of(&content), 3 << 20));
    assert_eq!(batch.put_file(&path).unwrap(), object);
    assert!(matches!(batch.put_file(dir.path()), Err(StoreError::NotAFile { found: "a directory", .. })));
    let absent = batch.put_file(&dir.path().join("absent")).unwrap_err();
    assert!(matches!(absent, StoreError::Io { operation: "open", .. }));
    assert_eq!(batch.commit().unwrap(), Counts { stored: 1, stored_bytes: 3 << 20, present: 1 });
    assert_eq!(store.read(object.id, 3 << 20).unwrap(), content);
}

#[test]
fn a_promise_is_held_or_the_object_is_refused() {
    let (_dir, store) = store();
    let mut batch = store.batch().unwrap();
    let (expected, found) = (ObjectId::of(b"good"), ObjectId::of(b"bad"));
    let error = batch.put_expected(expected, b"bad").unwrap_err();
    assert!(matches!(error, StoreError::Digest { expected: e, found: f } if (e, f) == (expected, found)));
    assert!(batch.put_expected(expected, b"good").unwrap().new);
    batch.commit().unwrap();
    assert_eq!(visible(&store), BTreeSet::from([expected]));
}

#[test]
fn a_batch_that_is_dropped_leaves_nothing() {
    let (_dir, store) = store();
    let mut batch = store.batch().unwrap();
    batch.put(b"one").unwrap();
    assert_eq!((visible(&store).len(), leftovers(&store)), (0, 1));
    drop(batch);
    assert_eq!((visible(&store).len(), leftovers(&store)), (0, 0));
}

#[test]
fn two_batches_at_once_do_not_disturb_each_other() {
    let (_dir, store) = store();
    let mut first = store.batch().unwrap();
    assert!(first.put(b"one").unwrap().new);
    let mut second = store.batch().unwrap();
    assert!(second.put(b"one").unwrap().new, "not visible yet");
    second.commit().unwrap();
    first.commit().unwrap();
    assert_eq!(store.read(ObjectId::of(b"one"), 9).unwrap(), b"one");
}

#[test]
fn remains_of_a_dead_writer_are_swept() {
    let (_dir, store) = store();
    let remains = store.tmp().join("1234-dead");
    std::fs::create_dir(&remains).unwrap();
    std::fs::write(remains.join("half"), b"x").unwrap();
    drop(store.batch().unwrap());
    assert!(!remains.exists());
}

#[test]
fn damage_is_named_and_healed_by_putting_again() {
    let (_dir, store) = store();
    put(&store, &[b"content"]).unwrap();
    let id = ObjectId::of(b"content");
    let path = store.object_file(id);

    std::fs::write(&path, b"CONTENT").unwrap();
    for result in [store.read(id, 99).map(drop), store.verify_object(id).map(drop)] {
        assert!(matches!(result, Err(StoreError::Digest { expected, .. }) if expected == id));
    }
    std::fs::write(&path, b"conten").unwrap();
    assert!(matches!(store.read(id, 5), Err(StoreError::TooLarge { max: 5, found: 6, .. })));
    assert_eq!(put(&store, &[b"content"]).unwrap().stored, 1, "cut short: written again");
    assert_eq!(store.read(id, 7).unwrap(), b"content");

    std::fs::remove_file(&path).unwrap();
    assert!(matches!(store.read(id, 99), Err(StoreError::Missing { id: found }) if found == id));
    assert_eq!(store.size(id).unwrap(), None);
}

#[test]
fn links_fifos_and_directories_are_never_opened() {
    let (dir, store) = store();
    put(&store, &[b"content"]).unwrap();
    let id = ObjectId::of(b"content");
    let path = store.object_file(id);
    let outside = dir.path().join("outside");
    std::fs::write(&outside, b"content").unwrap();
    let make_link = || symlink(&outside, &path).unwrap();
    let make_fifo = || {
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    for (make, name) in [(&make_link as &dyn Fn(), "a symbolic link"), (&make_fifo, "a FIFO")] {
        std::fs::remove_file(&path).unwrap();
        make();
        for result in [
            store.read(id, 99).map(drop),
            store.size(id).map(drop),
            store.open_object(id).map(drop),
            store.verify_object(id).map(drop),
        ] {
            assert!(matches!(result, Err(StoreError::NotAFile { found, .. }) if found == name));
        }
    }
    assert_eq!(put(&store, &[b"content"]).unwrap().stored, 1, "replaced");
    assert!(path.symlink_metadata().unwrap().is_file());
    assert_eq!(std::fs::read(&outside).unwrap(), b"content");
}

#[test]
fn strangers_among_the_objects_are_listed_as_such() {
    let (_dir, store) = store();
    put(&store, &[b"content"]).unwrap();
    let id = ObjectId::of(b"content");
    std::fs::write(store.object_file(id).with_file_name("README"), b"").unwrap();
    std::fs::write(store.path().join("objects/x"), b"").unwrap();
    let (good, bad): (Vec<_>, Vec<_>) = store.list().partition(Result::is_ok);
    assert_eq!(good.len(), 1);
    assert!(bad.iter().all(|item| matches!(item, Err(StoreError::Stray { .. }))));
    assert_eq!(bad.len(), 2);
}

#[test]
fn a_directory_that_is_no_store_is_refused() {
    let dir = scratch();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::NotAStore { .. })));
}

/// A writer that dies, or whose disk is full, at any operation: every visible object is whole, a second try completes.
#[test]
fn dying_at_any_operation_leaves_only_whole_objects() {
    for count in [3u8, 12] {
        let contents: Vec<_> = (0..count).map(|i| vec![i; 1000]).collect();
        let contents: Vec<_> = contents.iter().map(Vec::as_slice).collect();
        let mut after = 0;
        loop {
            let (_dir, store) = store();
            let (result, reached) = fault::dying_after(after, || put(&store, &contents));
            for id in visible(&store) {
                store.verify_object(id).unwrap();
            }
            if !reached {
                assert_eq!(result.unwrap().stored, u64::from(count));
                break;
            }
            assert!(result.unwrap_err().is_full(), "operation {after}");
            put(&store, &contents).unwrap();
            assert_eq!((visible(&store).len(), leftovers(&store)), (count.into(), 0), "operation {after}");
            after += 1;
        }
        assert!(after > 7, "{after} operations");
    }
}

#[test]
fn content_is_durable_before_its_name_and_the_name_before_success() {
    for count in [2u8, 20] {
        let (_dir, store) = store();
        let contents: Vec<_> = (0..count).map(|i| vec![i; 10]).collect();
        let contents: Vec<_> = contents.iter().map(Vec::as_slice).collect();
        let (result, log) = fault::recorded(|| put(&store, &contents));
        result.unwrap();
        let at = |wanted: &'static str| {
            log.iter().enumerate().filter(move |(_, (name, _))| *name == wanted).map(|(i, _)| i)
        };
        let last_sync = at("fsync").chain(at("syncfs")).max().unwrap();
        assert!(at("write").max().unwrap() < last_sync);
        assert!(last_sync < at("rename").min().unwrap());
        let synced: BTreeSet<_> =
            log.iter().filter(|(name, _)| *name == "fsync directory").map(|(_, path)| path).collect();
        for (position, (_, path)) in log.iter().enumerate().filter(|(_, (name, _))| *name == "rename") {
            assert!(synced.contains(&path.parent().unwrap().to_owned()));
            assert!(position < at("fsync directory").min().unwrap());
        }
        let above = if count == 2 { store.path().join("objects") } else { store.path().to_owned() };
        assert!(synced.contains(&above), "{synced:?}");
    }
}

//! A collection beside publishers and readers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;
use signing::repo::Section;

use super::gc::{NOW_OLD, assert_whole};
use super::publisher::{NOW, Publisher, image};
use crate::Manifest;
use crate::repository::{Collection, Repository};
use crate::store::Store;
use crate::store::tests::store;

/// Images that come and go, at least.
const ROUNDS: usize = 20;
/// And at most, until a collection has come between: no lease covers every moment.
const ROUNDS_MAX: usize = 2000;
/// Different contents, more than are listed at a time: one that comes back was referred to by nothing in between.
const CONTENTS: usize = 7;

/// Stores an image as a publisher does, with what is there already not stored again.
fn put(store: &Store, name: &str, content: &str) -> Manifest {
    let image = image(name, content);
    let mut batch = store.batch().unwrap();
    for object in &image.objects {
        batch.put(object).unwrap();
    }
    batch.commit().unwrap();
    image.manifest
}

/// Everything is old at once, and the same images come back all the time: only the lease protects what a publisher has found.
#[test]
fn publishers_with_a_lease_and_collections_at_once() {
    let (dir, store) = store();
    let repository = Repository::open(&store);
    let mut admin = Publisher::new();
    admin.list(&put(&store, "base@1", "base"));
    repository.commit(admin.upload(), NOW).unwrap();
    let (over, removed) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let collector = scope.spawn(|| {
            // As another process: it knows of the packs only what it sees.
            let store = Store::open(dir.path().join("store")).unwrap();
            let collection = Collection { grace: Duration::ZERO, ..NOW_OLD };
            while !over.load(Ordering::Relaxed) {
                time_flies(&store);
                removed.fetch_add(collection.run(&store).unwrap().removed_objects, Ordering::Relaxed);
            }
        });
        let reader = scope.spawn(|| {
            let store = Store::open(dir.path().join("store")).unwrap();
            let base = image("base@1", "base");
            let mut reads = 0;
            while !over.load(Ordering::Relaxed) {
                for (_, object) in base.manifest.objects() {
                    store.verify_object(object.id).unwrap();
                    reads += 1;
                }
            }
            reads
        });
        let mut listed = BTreeMap::new();
        for round in 0..ROUNDS_MAX {
            if round >= ROUNDS && removed.load(Ordering::Relaxed) > 0 {
                break;
            }
            let lease = store.lease().unwrap();
            let name = format!("ha@{round}");
            let manifest = put(&store, &name, &(round % CONTENTS).to_string());
            admin.list(&manifest);
            listed.insert(name.clone(), manifest);
            repository.commit(admin.upload(), NOW).unwrap();
            drop(lease);
            assert_whole(&store);
            if listed.len() > 4 {
                let (_, manifest) = listed.pop_first().unwrap();
                admin.unlist(Section::Releases, &manifest.name.target_path());
                repository.commit(admin.upload(), NOW).unwrap();
            }
        }
        over.store(true, Ordering::Relaxed);
        collector.join().unwrap();
        assert!(removed.load(Ordering::Relaxed) > 0);
        assert!(reader.join().unwrap() > 0);
    });
    assert_whole(&store);
}

/// Everything that no living publisher can rely on becomes old at once.
fn time_flies(store: &Store) {
    let (oldest, _) = store.leases().unwrap();
    let _guard = store.lock_leases(FlockOperation::LockExclusive).unwrap();
    // The clock of files is coarse.
    let limit = oldest.unwrap_or_else(SystemTime::now) - Duration::from_millis(20);
    let mut dirs = vec![store.path().join("objects"), store.path().join("packs")];
    while let Some(dir) = dirs.pop() {
        for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let file = std::fs::File::options().append(true).open(&path).unwrap();
            if file.metadata().unwrap().modified().unwrap() < limit {
                file.set_modified(limit - Duration::from_secs(3600)).unwrap();
            }
        }
    }
}

//! What a commit does when all is well.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use signing::repo::{RoleName, Section};
use signing::{TrustedFiles, Value};

use super::publisher::{NOW, Publisher, stored_image};
use crate::pin::Assignments;
use crate::repository::{CommitError, Committed, Repository, load_view};
use crate::store::tests::store;

#[test]
fn a_view_is_what_was_committed() {
    let (_dir, store) = store();
    let repository = Repository::open(&store);
    assert!(load_view(&store).unwrap().is_none());
    assert_eq!(repository.trusted().unwrap(), None);
    assert_eq!(repository.export().unwrap(), None);

    let mut admin = Publisher::new();
    let manifest = stored_image(&store, "ha@1", "one");
    let digest = admin.list(&manifest);
    admin.pin("web", "ha@1", digest);
    let mut assignments = Assignments::empty();
    assignments.nodes.insert("52-54-00-12-34-56".parse().unwrap(), "web".parse().unwrap());
    admin.assign(&assignments);
    let floors = Value::from([("bascule", Value::from([("floors", Value::from([("ha", 7.into())]))]))]);
    admin.floor(Some(floors));
    let upload = admin.upload();
    let committed = repository.commit(upload.clone(), NOW).unwrap();
    let expected = Committed {
        changed: true,
        images: vec!["ha@1".parse().unwrap()],
        pins: vec!["web".parse().unwrap()],
    };
    assert_eq!(committed, expected);

    let view = load_view(&store).unwrap().unwrap();
    assert_eq!(view.images[&manifest.name], (digest, manifest));
    assert_eq!(view.pins[&"web".parse().unwrap()].stable.manifest, digest);
    assert_eq!(view.assignments, assignments);
    assert_eq!(view.floors[&"ha".parse().unwrap()], 7);
    assert_eq!(view.root_version, 1);
    let roles: Vec<_> = view.versions.keys().map(String::as_str).collect();
    assert_eq!(roles, ["pins", "releases", "root", "snapshot", "targets", "timestamp"]);
    assert_eq!(view.expiries["timestamp"], NOW.plus_days(30));
    assert_eq!(repository.metadata_names().unwrap().len(), 6);
    assert_eq!(repository.target_names().unwrap(), upload.targets.keys().cloned().collect::<Vec<_>>());
    assert_eq!(repository.export().unwrap().unwrap(), upload);
    assert_eq!(repository.trusted().unwrap().unwrap().timestamp.unwrap(), upload.metadata["timestamp.json"]);
}

#[test]
fn the_same_again_changes_nothing() {
    let (_dir, store) = store();
    let repository = Repository::open(&store);
    let mut admin = Publisher::new();
    admin.list(&stored_image(&store, "ha@1", "one"));
    let upload = admin.upload();
    assert!(repository.commit(upload.clone(), NOW).unwrap().changed);
    let names = repository.metadata_names().unwrap();
    assert_eq!(repository.commit(upload, NOW).unwrap(), Committed::default());
    assert_eq!(repository.metadata_names().unwrap(), names);
}

/// A file that rotted is healed by sending what is published once more, or with the next publication.
#[test]
fn damaged_files_are_replaced() {
    let (_dir, store) = store();
    let repository = Repository::open(&store);
    let mut admin = Publisher::new();
    let one = admin.list(&stored_image(&store, "ha@1", "one"));
    admin.pin("web", "ha@1", one);
    repository.commit(admin.upload(), NOW).unwrap();
    let good = repository.export().unwrap().unwrap();
    let tuf = store.path().join("tuf");
    let metadata =
        repository.metadata_names().unwrap().into_iter().map(|name| tuf.join("metadata").join(name));
    let targets = repository.target_names().unwrap().into_iter().map(|name| tuf.join("targets").join(name));
    for path in metadata.chain(targets) {
        let content = std::fs::read(&path).unwrap();
        std::fs::write(&path, b"{}").unwrap();
        load_view(&store).unwrap_err();
        // Long after the metadata has expired.
        let again = repository.commit(good.clone(), NOW.plus_days(999));
        if path.ends_with("1.root.json") || path.ends_with("timestamp.json") {
            assert!(matches!(again, Err(CommitError::Present(_))), "what is trusted cannot be sent");
            std::fs::write(&path, &content).unwrap();
            continue;
        }
        assert_eq!(again.unwrap(), Committed { changed: true, ..Committed::default() }, "{}", path.display());
        assert_eq!(repository.export().unwrap().unwrap(), good);
        assert_eq!(repository.commit(good.clone(), NOW).unwrap(), Committed::default());
    }
}

#[test]
fn what_the_store_has_need_not_be_sent() {
    let (_dir, store) = store();
    let repository = Repository::open(&store);
    let mut admin = Publisher::new();
    let one = admin.list(&stored_image(&store, "ha@1", "one"));
    repository.commit(admin.upload(), NOW).unwrap();
    let two = admin.list(&stored_image(&store, "ha@2", "two"));
    admin.pin("web", "ha@1", one);
    admin.pin("db", "ha@2", two);
    let mut upload = admin.upload();
    upload
        .metadata
        .retain(|name, _| !repository.metadata_names().unwrap().contains(name) || name == "timestamp.json");
    upload.targets.retain(|name, _| !repository.target_names().unwrap().contains(name));
    assert_eq!(upload.targets.len(), 3);
    let committed = repository.commit(upload, NOW).unwrap();
    assert_eq!(committed.images, ["ha@2".parse().unwrap()]);
    assert_eq!(committed.pins, ["db".parse().unwrap(), "web".parse().unwrap()]);

    // A pin goes down again, another one vanishes.
    admin.pin("db", "ha@1", one);
    admin.unlist(Section::Pins, "pins/web.json");
    let committed = repository.commit(admin.upload(), NOW).unwrap();
    assert_eq!((committed.images.len(), committed.pins), (0, vec!["db".parse().unwrap()]));
    let view = load_view(&store).unwrap().unwrap();
    assert_eq!((view.images.len(), view.pins.len()), (2, 1));
}

#[test]
fn a_store_can_be_copied_to_another_in_one_step() {
    let ((_one, from), (_two, to)) = (store(), store());
    let mut admin = Publisher::new();
    for (name, seed) in ["ha@1", "ha@2", "base@1"].into_iter().zip(100..) {
        admin.list(&stored_image(&from, name, name));
        stored_image(&to, name, name);
        admin.rotate(RoleName::Snapshot, seed);
        Repository::open(&from).commit(admin.upload(), NOW).unwrap();
    }
    let all = Repository::open(&from).export().unwrap().unwrap();
    assert!(all.metadata.contains_key("3.root.json"));
    Repository::open(&to).commit(all.clone(), NOW).unwrap();
    assert_eq!(Repository::open(&to).export().unwrap().unwrap(), all);
}

#[test]
fn every_key_can_be_rotated() {
    let (_dir, store) = store();
    let repository = Repository::open(&store);
    let mut admin = Publisher::new();
    admin.list(&stored_image(&store, "ha@1", "one"));
    repository.commit(admin.upload(), NOW).unwrap();
    for (role, seed) in RoleName::ALL.into_iter().zip(200..) {
        admin.rotate(role, seed);
        repository.commit(admin.upload(), NOW).unwrap();
        assert_eq!(load_view(&store).unwrap().unwrap().images.len(), 1, "{role:?}");
    }
    assert_eq!(load_view(&store).unwrap().unwrap().root_version, 5);
}

/// Nodes judge expiry; a server whose admin is late still serves what it has.
#[test]
fn expired_metadata_is_still_loaded_and_signed_anew() {
    let (_dir, store) = store();
    let repository = Repository::open(&store);
    let mut admin = Publisher::new();
    admin.list(&stored_image(&store, "ha@1", "one"));
    let expired = admin.upload_at(NOW.plus_days(-40));
    repository.commit(expired, NOW.plus_days(-40)).unwrap();
    assert_eq!(load_view(&store).unwrap().unwrap().expiries["timestamp"], NOW.plus_days(-10));
    assert!(repository.commit(admin.upload(), NOW).unwrap().changed);
    let trusted: TrustedFiles = repository.trusted().unwrap().unwrap();
    assert_eq!(trusted.delegated.len(), 2);
}

/// Readers meet commits at every step of theirs; new timestamp keys make a mix of old and new fail to verify.
#[test]
fn readers_never_see_a_mix_while_commits_run() {
    let (_dir, store) = store();
    let mut admin = Publisher::new();
    let digests = ["ha@1", "ha@2"].map(|name| (name, admin.list(&stored_image(&store, name, name))));
    let repository = Repository::open(&store);
    let done = AtomicBool::new(false);
    let mut publish = |seed: u8| {
        for (group, (name, digest)) in
            [("db", digests[usize::from(seed) % 2]), ("web", digests[usize::from(seed) % 2])]
        {
            admin.pin(group, name, digest);
        }
        admin.rotate(RoleName::Timestamp, seed);
        repository.commit(admin.upload(), NOW).unwrap();
    };
    publish(100);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut versions = BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                let view = load_view(&store).unwrap().unwrap();
                assert_eq!(
                    view.pins[&"db".parse().unwrap()].stable,
                    view.pins[&"web".parse().unwrap()].stable
                );
                assert_eq!(view.root_version, view.versions["timestamp"]);
                versions.insert(view.root_version);
            }
            versions.len()
        });
        (101..130).for_each(&mut publish);
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 1);
    });
}

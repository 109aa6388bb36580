//! A publisher that dies at any file operation.

use std::path::Path;

use signing::repo::RoleName;

use super::publisher::{NOW, Publisher, stored_image};
use crate::repository::{Repository, Upload, load_view};
use crate::store::tests::{scratch, store};
use crate::store::{Store, fault};

/// What readers see: everything that is published, as one value.
fn seen(store: &Store) -> Option<Upload> {
    load_view(store).unwrap();
    Repository::open(store).export().unwrap()
}

/// A store, what is to be published next, and what another admin, who has not heard of it, would publish instead: other content
/// under the same versions.
struct Scene {
    dir: tempfile::TempDir,
    old: Upload,
    upload: Upload,
    fork: Upload,
}

impl Scene {
    fn new(rotate: Option<RoleName>) -> Self {
        let (dir, store) = store();
        let mut admin = Publisher::new();
        let one = admin.list(&stored_image(&store, "ha@1", "one"));
        admin.pin("web", "ha@1", one);
        Repository::open(&store).commit(admin.upload(), NOW).unwrap();

        let mut other = admin.clone();
        let publish = |admin: &mut Publisher, name: &str| {
            let digest = admin.list(&stored_image(&store, name, name));
            admin.pin("web", name, digest);
        };
        publish(&mut admin, "ha@2");
        publish(&mut other, "ha@3");
        if let Some(role) = rotate {
            admin.rotate(role, 77);
        }
        Self { old: seen(&store).unwrap(), upload: admin.upload(), fork: other.upload(), dir }
    }

    /// The store as it was, in a place of its own.
    fn copy(&self) -> (tempfile::TempDir, Store) {
        let copy = scratch();
        copy_dir(&self.dir.path().join("store"), &copy.path().join("store"));
        let store = Store::open(copy.path().join("store")).unwrap();
        (copy, store)
    }

    /// The publisher dies at operation `after`, then somebody publishes again. Returns whether he came to that operation.
    fn die(&self, after: usize, next: &Upload) -> bool {
        let (_dir, store) = self.copy();
        let repository = Repository::open(&store);
        let (result, reached) = fault::dying_after(after, || repository.commit(self.upload.clone(), NOW));
        assert_eq!(result.is_err(), reached, "{result:?}");

        let mut now = seen(&store).unwrap();
        let is_new = now.metadata["timestamp.json"] == self.upload.metadata["timestamp.json"];
        if is_new {
            assert!(self.upload.metadata.iter().all(|(name, bytes)| now.metadata[name] == *bytes));
            assert!(now.targets.iter().all(|(name, bytes)| self.upload.targets[name] == *bytes));
            assert!(now.targets.keys().any(|name| name.contains("ha@2")));
        } else {
            // A root that was signed by the trusted one may show before the rest, never instead of it.
            now.metadata.remove("2.root.json");
            assert_eq!(now, self.old);
        }

        let next = if is_new { &self.upload } else { next };
        repository.commit(next.clone(), NOW).unwrap();
        let seen = seen(&store).unwrap();
        assert!(next.metadata.iter().all(|(name, bytes)| seen.metadata[name] == *bytes), "operation {after}");
        assert_eq!(seen.targets.len(), 3, "two images and a pin");
        drop(store.batch().unwrap());
        assert_eq!(std::fs::read_dir(store.path().join("tmp")).unwrap().count(), 0, "swept");
        reached
    }

    /// Number of the first operation that changes what was there.
    fn first_rename(&self) -> usize {
        let (_dir, store) = self.copy();
        let (result, log) = fault::recorded(|| Repository::open(&store).commit(self.upload.clone(), NOW));
        result.unwrap();
        log.iter().position(|(operation, _)| *operation == "rename").unwrap()
    }
}

pub(super) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_dir(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

#[test]
fn readers_see_old_or_new_and_the_same_again_completes() {
    let scene = Scene::new(None);
    let operations = (0..).take_while(|after| scene.die(*after, &scene.upload)).count();
    assert!(operations > 25, "{operations}");
}

#[test]
fn readers_see_old_or_new_and_another_content_completes() {
    let scene = Scene::new(None);
    let operations = (scene.first_rename()..).take_while(|after| scene.die(*after, &scene.fork)).count();
    assert!(operations > 10, "{operations}");
}

#[test]
fn a_new_root_is_no_mix_either() {
    for role in [RoleName::Root, RoleName::Timestamp] {
        let scene = Scene::new(Some(role));
        for next in [&scene.upload, &scene.fork] {
            let operations = (scene.first_rename()..).take_while(|after| scene.die(*after, next)).count();
            assert!(operations > 10, "{operations}");
        }
    }
}

#[test]
fn a_first_commit_leaves_nothing_or_all() {
    for another in [false, true] {
        for after in 0.. {
            let (_dir, store) = store();
            let repository = Repository::open(&store);
            let mut admin = Publisher::new();
            admin.list(&stored_image(&store, "ha@1", "one"));
            let upload = admin.upload();
            let (result, reached) = fault::dying_after(after, || repository.commit(upload.clone(), NOW));
            assert_eq!(result.is_err(), reached);
            let before = seen(&store);
            assert!(before.is_none() || before.as_ref() == Some(&upload));
            let next = if another && before.is_none() {
                let mut admin = Publisher::with_keys(2);
                admin.list(&stored_image(&store, "ha@1", "one"));
                admin.upload()
            } else {
                upload
            };
            repository.commit(next.clone(), NOW).unwrap();
            assert_eq!(seen(&store), Some(next));
            if !reached {
                break;
            }
        }
    }
}

/// Two admins start over, and the first one died while he brought two roots: the second one is not led astray by the remains.
#[test]
fn stray_roots_are_removed() {
    let mut admin = Publisher::new();
    let mut upload = admin.upload();
    admin.rotate(RoleName::Timestamp, 77);
    upload.metadata.extend(admin.upload().metadata);
    let has_root = |store: &Store| {
        let names = Repository::open(store).metadata_names().unwrap();
        names.contains(&"2.root.json".to_owned())
    };
    let died = (0..).find_map(|after| {
        let (dir, store) = store();
        let (_, reached) = fault::dying_after(after, || Repository::open(&store).commit(upload.clone(), NOW));
        assert!(reached, "no state with stray roots was met");
        has_root(&store).then_some((dir, store))
    });
    let (_dir, store) = died.unwrap();
    assert_eq!(seen(&store), None);
    let next = Publisher::with_keys(2).upload();
    Repository::open(&store).commit(next.clone(), NOW).unwrap();
    assert!(!has_root(&store));
    assert_eq!(seen(&store), Some(next));
}

#[test]
fn the_timestamp_is_renamed_last_when_all_else_is_durable() {
    let (_dir, store) = store();
    let mut admin = Publisher::new();
    admin.list(&stored_image(&store, "ha@1", "one"));
    let upload = admin.upload();
    let (result, log) = fault::recorded(|| Repository::open(&store).commit(upload, NOW));
    result.unwrap();
    let position = |wanted: &str, name: &str| {
        let found =
            |(operation, path): &(&str, std::path::PathBuf)| *operation == wanted && path.ends_with(name);
        log.iter().rposition(found).unwrap()
    };
    let timestamp = position("rename", "tuf/metadata/timestamp.json");
    let last_but_one =
        log.iter().rposition(|(operation, path)| *operation == "rename" && !path.ends_with("timestamp.json"));
    let last_write = log.iter().rposition(|(operation, _)| *operation == "write").unwrap();
    let syncfs = log.iter().position(|(operation, _)| *operation == "syncfs").unwrap();
    let first_rename = log.iter().position(|(operation, _)| *operation == "rename").unwrap();
    assert!(last_write < syncfs && syncfs < first_rename && last_but_one.unwrap() < timestamp);
    for dir in ["tuf/targets/images", "tuf/targets/pins"] {
        let synced = position("fsync directory", dir);
        assert!(last_but_one.unwrap() < synced && synced < timestamp);
    }
    assert_eq!(position("fsync directory", "tuf/metadata"), timestamp + 1);
    assert_eq!(log.len(), timestamp + 2);
}

//! Care of a store: what nobody needs goes, what is damaged is found.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use image_format::ObjectId;
use image_format::store::Store;

use crate::image::{Fake, noise};
use crate::place::{Place, says, snapshot};

/// Everything was written ten days ago.
fn age(dir: &Path) {
    let then = SystemTime::now() - Duration::from_secs(10 * 24 * 3600);
    for path in snapshot(dir).keys() {
        std::fs::File::options().append(true).open(path).unwrap().set_modified(then).unwrap();
    }
}

/// Puts objects that nobody needs.
fn litter(store: &Path) -> Vec<ObjectId> {
    let store = Store::open(store).unwrap();
    let mut batch = store.batch().unwrap();
    let ids = (0..5).map(|number| batch.put(&noise(900 + number, 5000)).unwrap().id).collect();
    batch.commit().unwrap();
    ids
}

#[test]
fn gc_removes_what_no_image_and_no_build_needs() {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 12));
    place.build(&Fake::new("ha@2", 2, 12));
    let dir = place.repo().join("store");
    let store = Store::open(&dir).unwrap();
    let needed = store.list().count();
    let litter = litter(&dir);

    let young = place.json(&["gc"]);
    assert_eq!((&young["removed_objects"], &young["young"]), (&0.into(), &5.into()));
    age(&dir);
    let before = snapshot(&dir);
    let dry = place.json(&["gc", "--dry-run"]);
    assert_eq!((&dry["dry_run"], &dry["removed_objects"]), (&true.into(), &5.into()));
    assert_eq!(snapshot(&dir), before);
    says(&place.ok(&["gc", "--grace", "30d"]), &["0 objects removed", "5 not needed and too young"]);
    let done = place.json(&["gc", "--grace", "9d"]);
    assert_eq!((&done["dry_run"], &done["removed_objects"]), (&false.into(), &5.into()));
    assert_eq!(done["freed_bytes"], dry["freed_bytes"]);
    assert!(done["freed_bytes"].as_i64().unwrap() >= 25_000, "{done}");
    assert_eq!(store.list().filter(Result::is_ok).count(), needed);
    assert!(litter.iter().all(|id| !store.contains(*id).unwrap()));
    place.ok(&["verify", "ha@1"]);
    place.ok(&["sign", "ha@2"]);
    place.ok(&["verify", "--all"]);
}

#[test]
fn gc_of_a_servers_directory_and_what_it_refuses() {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 12));
    says(&place.refused(&["gc", "--to", &place.store()]), &["open store", "expected a store directory"]);
    Store::create(place.store()).unwrap();
    let litter = litter(Path::new(&place.store()));
    age(Path::new(&place.store()));
    says(&place.refused(&["gc", "--to", &place.store()]), &["collect in", "nothing is published here"]);
    place.ok(&["publish", "--to", &place.store()]);
    says(&place.ok(&["gc", "--to", &place.store()]), &["5 objects removed"]);
    let store = Store::open(place.store()).unwrap();
    assert!(litter.iter().all(|id| !store.contains(*id).unwrap()));
    place.ok(&["verify", "--all", "--store", &place.store()]);

    let timestamp = Path::new(&place.store()).join("tuf/metadata/timestamp.json");
    std::fs::write(timestamp, b"{}").unwrap();
    let before = snapshot(Path::new(&place.store()));
    says(&place.refused(&["gc", "--to", &place.store()]), &["cannot be verified, so nothing is removed"]);
    assert_eq!(snapshot(Path::new(&place.store())), before);
    for grace in ["", "24", "1w", "-1h"] {
        says(&place.misused(&["gc", &format!("--grace={grace}")]), &["--grace"]);
    }
}

/// Every file of the store with objects in it.
fn object_files(store: &Path) -> Vec<PathBuf> {
    ["objects", "packs"].iter().flat_map(|dir| snapshot(&store.join(dir)).into_keys()).collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn scrub_finds_damage_and_repairs_it_from_another_store() {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 12));
    place.ok(&["publish", "--to", &place.store()]);
    let dir = place.repo().join("store");
    says(&place.ok(&["scrub"]), &["is sound"]);
    let sound = place.json(&["scrub"]);
    assert_eq!((&sound["damaged"], &sound["missing"]), (&0.into(), &serde_json::json!([])));

    let files = object_files(&dir);
    for path in &files {
        flip(path, 100);
    }
    let before = snapshot(&dir);
    says(&place.refused(&["scrub", "--check"]), &["object", "damaged"]);
    assert_eq!(snapshot(&dir), before);
    let repaired = place.json(&["scrub", "--repair-from", &place.store()]);
    let damaged = files.len() as u64;
    assert_eq!((&repaired["damaged"], &repaired["repaired"]), (&damaged.into(), &damaged.into()));
    assert_eq!(repaired["quarantined"], damaged);
    place.ok(&["verify", "--all"]);

    // Without a source it is moved away, named, and missing until there is one.
    flip(&object_files(&dir)[0], 100);
    let refused = place.refused(&["scrub"]);
    says(&refused, &["1 needed object missing"]);
    let fetched = place.json(&["scrub", "--repair-from", &place.store()]);
    assert_eq!((&fetched["fetched"], &fetched["missing"]), (&1.into(), &serde_json::json!([])));
    place.ok(&["verify", "--all"]);

    // A whole store that is lost.
    for path in object_files(&dir) {
        std::fs::remove_file(path).unwrap();
    }
    let lost = place.json(&["scrub", "--repair-from", &place.store()]);
    assert!(lost["fetched"].as_u64().unwrap() > 12, "{lost}");
    place.ok(&["verify", "--all"]);
}

#[test]
fn scrub_repairs_a_servers_directory() {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 12));
    place.ok(&["publish", "--to", &place.store()]);
    let published = PathBuf::from(place.store());
    flip(&object_files(&published)[0], 100);
    says(&place.refused(&["scrub", "--to", &place.store()]), &["1 needed object missing", "published"]);
    let repo = place.repo().join("store").display().to_string();
    place.ok(&["scrub", "--to", &place.store(), "--repair-from", &repo]);
    place.ok(&["verify", "--all", "--store", &place.store()]);
    says(&place.refused(&["scrub", "--to", "nowhere"]), &["open store nowhere"]);
    says(&place.misused(&["scrub", "--check", "--repair-from", &repo]), &["--check"]);
}

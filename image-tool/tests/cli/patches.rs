//! Patches: made by `publish` and by hand, signed, sent, pulled, verified, predicted.

use std::fs;

use image_format::repository::load_view;
use image_format::store::Store;

use crate::image::Fake;
use crate::place::{Place, says, snapshot};

/// `ha@1` is published and `web` runs it; `ha@2` is signed.
fn next_version() -> Place {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 20));
    place.ok(&["publish", "--to", &place.store()]);
    place.ok(&["pin", "web", "ha@1", "--to", &place.store()]);
    place.signed(&Fake::new("ha@2", 2, 24));
    place
}

fn published(place: &Place) -> image_format::repository::View {
    load_view(&Store::open(place.store()).unwrap()).unwrap().unwrap()
}

#[test]
fn publish_makes_patches_for_what_groups_run() {
    let place = next_version();
    let report = place.json(&["publish", "--to", &place.store(), "--effort", "best"]);
    assert_eq!(report["new_patches"], serde_json::json!(["ha@1", "ha@2"]), "whole streams of both");
    let view = published(&place);
    let list = &view.patches[&"ha@2".parse().unwrap()];
    let from: Vec<String> = list.patches.iter().map(|patch| patch.name.to_string()).collect();
    assert_eq!((from, list.stream.is_some()), (vec!["ha@1".to_owned()], true));
    assert!(view.patches[&"ha@1".parse().unwrap()].patches.is_empty(), "nobody goes from ha@1 to ha@1");
    place.ok(&["verify", "--all"]);
    place.ok(&["verify", "--all", "--store", &place.store()]);

    // Once: what is there is not made again, with whatever effort.
    let again = place.json(&["publish", "--to", &place.store()]);
    assert_eq!((&again["new_patches"], &again["changed"]), (&serde_json::json!([]), &false.into()));
    place.ok(&["pin", "web", "ha@2", "--to", &place.store()]);
    assert_eq!(place.json(&["publish", "--to", &place.store()])["changed"], false);

    let diff = place.json(&["diff", "ha@1", "ha@2"]);
    let ways = &diff["fetch"]["ways"];
    let best = ways["best"].as_u64().unwrap();
    assert!(best <= ways["patch"].as_u64().unwrap() && best <= ways["stream"].as_u64().unwrap(), "{ways}");
    assert!(
        diff["fetch"]["index_bytes"].as_u64()
            < place.json(&["inspect", "ha@2"])["manifest"]["root"]["index"]["size"].as_u64()
    );
    says(&place.ok(&["diff", "ha@1", "ha@2"]), &["by chunks", "by patch", "by stream", "tables"]);
    assert_eq!(place.json(&["inspect", "ha@2"])["patches"]["patches"][0]["name"], "ha@1");
    says(&place.ok(&["inspect", "ha@2"]), &["Patches", "ha@1", "whole stream"]);
}

#[test]
fn publish_goes_on_without_patches() {
    let place = next_version();
    assert_eq!(
        place.json(&["publish", "--to", &place.store(), "--no-patches"])["new_patches"],
        serde_json::json!([])
    );
    assert!(published(&place).patches.is_empty());
    // The key is elsewhere: said, and no error.
    let key = place.repo().join("keys/releases.pem");
    let away = place.path("releases.pem");
    fs::rename(&key, &away).unwrap();
    let output = place.command(&["publish", "--to", &place.store()]).output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    says(&said, &["no patches were made (ha@2: from ha@1)", "releases key"]);
    says(&place.refused(&["patch", "ha@1", "ha@2"]), &["the releases key is not here"]);
    assert_eq!(place.json(&["patch", "ha@1", "ha@2", "--dry-run"])["signed"], false);
    fs::rename(&away, &key).unwrap();
    // Back again, they are made.
    let before = published(&place).versions["releases"];
    place.ok(&["publish", "--to", &place.store()]);
    assert_eq!(published(&place).versions["releases"], before + 1);
}

#[test]
fn a_patch_made_by_hand_waits_for_publish() {
    let place = next_version();
    place.ok(&["publish", "--to", &place.store(), "--no-patches"]);
    let before = snapshot(&place.repo().join("store"));
    let dry = place.json(&["patch", "ha@1", "ha@2", "--dry-run", "--stream", "--effort", "fast"]);
    let mut after = snapshot(&place.repo().join("store"));
    after.retain(|path, _| before.contains_key(path));
    assert_eq!(after, before, "a dry run keeps nothing");
    assert_eq!(dry["effort"], "fast");
    assert!(dry["stream_bytes"].as_u64().unwrap() > dry["patch_bytes"].as_u64().unwrap());

    let made = place.json(&["patch", "ha@1", "ha@2", "--stream", "--effort", "fast"]);
    assert_eq!(
        (&made["patch_bytes"], &made["stream_bytes"], &made["signed"]),
        (&dry["patch_bytes"], &dry["stream_bytes"], &true.into())
    );
    says(
        &place.refused(&["pin", "web", "ha@2", "--to", &place.store()]),
        &["patches to ha@2 are signed here but not published"],
    );
    // The other way round, by hand only.
    place.ok(&["patch", "ha@2", "ha@1"]);
    place.ok(&["publish", "--to", &place.store()]);
    assert_eq!(published(&place).patches.len(), 2);
    place.ok(&["pin", "web", "ha@2", "--to", &place.store()]);
    says(&place.refused(&["patch", "ha@1", "ha@1"]), &["expected two images, found ha@1 twice"]);
    says(&place.refused(&["patch", "ha@1", "ha@9"]), &["unknown image ha@9"]);
}

#[test]
fn patches_are_pulled() {
    let place = next_version();
    let other = Place::empty();
    fs::create_dir_all(other.path("")).unwrap();
    copy(&place.repo(), &other.repo());
    place.ok(&["publish", "--to", &place.store(), "--effort", "best"]);
    let pulled = other.json(&["pull", "--from", &place.store()]);
    assert_eq!(pulled["changed"], true);
    other.ok(&["verify", "--all"]);
    assert_eq!(other.json(&["inspect", "ha@2"])["patches"], place.json(&["inspect", "ha@2"])["patches"]);
    assert_eq!(other.json(&["pull", "--from", &place.store()])["new_objects"], 0);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

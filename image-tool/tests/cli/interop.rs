//! Images in the formats of others: what the command line says and refuses.

use std::fs;

use serde_json::Value;

use crate::image::Fake;
use crate::place::{Place, says};

/// A repository with a signed image and one that is only built.
fn place() -> Place {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 8));
    place.build(&Fake::new("ha@2", 2, 9));
    place
}

fn manifest(place: &Place, image: &str) -> Value {
    let path = place.repo().join(format!("builds/{image}/manifest.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn images_are_named_by_name_manifest_and_index() {
    let place = place();
    let root = |image: &str| manifest(&place, image)["root"].clone();
    let (first, second) = (root("ha@1"), root("ha@2"));
    for (what, root) in [
        (&["ha@1"][..], &first),
        (&["ha@2"], &second),
        (&["repo/builds/ha@2/manifest.json"], &second),
        (&["--index", second["index"]["id"].as_str().unwrap()], &second),
    ] {
        let report = place.json(&[&["export", "--format", "raw", "--out", "raw", "--force"], what].concat());
        assert_eq!((&report["bytes"], &report["format"]), (&root["size"], &"raw".into()), "{what:?}");
        assert_eq!(fs::metadata(place.path("raw")).unwrap().len(), root["size"].as_u64().unwrap());
    }
    assert_ne!(first["size"], second["size"]);
    let unknown = place.refused(&["export", "ha@3", "--format", "raw", "--out", "x"]);
    says(&unknown, &["unknown image ha@3"]);
    // The kernel is an object, and no index.
    let kernel = manifest(&place, "ha@1")["kernel"]["object"]["id"].as_str().unwrap().to_owned();
    let wrong = place.refused(&["export", "--index", &kernel, "--format", "raw", "--out", "x"]);
    says(&wrong, &["read the index", &kernel, "expected"]);
    assert!(!place.path("x").exists());
}

#[test]
fn another_store_is_read_without_a_repository() {
    let place = place();
    let store = place.store();
    place.ok(&["publish", "ha@1", "--to", &store]);
    place.ok(&["export", "ha@1", "--format", "raw", "--out", "here"]);
    place.ok(&["--repo", "none", "export", "ha@1", "--store", &store, "--format", "raw", "--out", "there"]);
    assert!(fs::read(place.path("here")).unwrap() == fs::read(place.path("there")).unwrap());
    let unpublished =
        place.refused(&["export", "ha@2", "--store", &store, "--format", "raw", "--out", "none"]);
    says(&unpublished, &[&store, "unknown image ha@2", "did you mean"]);
}

#[test]
fn wrong_use_is_told() {
    let place = Place::empty();
    let id = "0".repeat(64);
    for (args, words) in [
        (&["export", "--format", "raw", "--out", "x"][..], "ROLE@VERSION"),
        (&["export", "ha@1", "--out", "x"], "--format"),
        (&["export", "ha@1", "--format", "raw"], "--out"),
        (&["export", "ha@1", "--format", "zip", "--out", "x"], "casync"),
        (&["export", "../x@1y", "--format", "raw", "--out"], "--out"),
        (&["export", "ha@..", "--format", "raw", "--out", "x"], "expected"),
        (&["export", "ha@1", "--index", &id, "--format", "raw", "--out", "x"], "cannot be used"),
        (&["export", "ha@1", "--format", "zstd", "--level", "20", "--out", "x"], "20"),
        (&["export", "--index", "../etc/passwd", "--format", "raw", "--out", "x"], "64"),
        (&["import"], "FILE|URL"),
    ] {
        says(&place.misused(args), &[words]);
    }
}

#[test]
fn casync_and_back_is_the_same_index() {
    let place = place();
    let report = place.json(&["export", "ha@1", "--format", "casync", "--out", "out"]);
    assert_eq!(report["casync"]["index"], "out/ha@1.caibx");
    assert_eq!(report["casync"]["store"], "out/default.castr");
    assert!(report["casync"]["new_chunks"].as_u64().unwrap() > 0);
    let again = place.json(&["export", "ha@1", "--format", "casync", "--out", "out", "--force"]);
    assert_eq!((&again["casync"]["new_chunks"], &again["written_bytes"]), (&0.into(), &0.into()));

    let imported = place.json(&["import", "out/ha@1.caibx"]);
    assert_eq!(imported["index"], manifest(&place, "ha@1")["root"]["index"]["id"]);
    assert_eq!((&imported["new_objects"], &imported["new_bytes"]), (&0.into(), &0.into()));
    let text = place.ok(&["import", "out/ha@1.caibx", "--store", "out/default.castr"]);
    says(&text, &["Imported", "out/ha@1.caibx", imported["index"].as_str().unwrap()]);
    says(&place.refused(&["import", "out/none.caibx"]), &["import out/none.caibx", "No such file"]);
    says(
        &place.refused(&["import", "out/ha@1.caibx", "--store", "none"]),
        &["open store none", "No such file"],
    );
    says(&place.refused(&["import", "https://host/ha@1.caibx"]), &["expected http://HOST"]);
}

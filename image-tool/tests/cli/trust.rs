//! `imgtool trust status`: what holds, until when, and who can sign.

use serde_json::Value;

use crate::image::Fake;
use crate::life::age;
use crate::place::{Place, says, text};

fn roles(status: &Value) -> Vec<(&str, &str)> {
    let rows = status["roles"].as_array().unwrap().iter();
    rows.map(|row| (row["role"].as_str().unwrap(), row["state"].as_str().unwrap())).collect()
}

#[test]
fn a_new_repository_is_in_order() {
    let place = Place::empty();
    place.ok(&["init"]);
    let status = place.json(&["trust", "status"]);
    let all = ["root", "targets", "releases", "pins", "snapshot", "timestamp"].map(|role| (role, "good"));
    assert_eq!(roles(&status), all);
    assert_eq!(status["warnings"], serde_json::json!([]));
    let days: Vec<_> =
        status["roles"].as_array().unwrap().iter().map(|row| row["days_left"].as_i64().unwrap()).collect();
    for (days, expected) in days.iter().zip([730, 365, 365, 365, 90, 30]) {
        assert!((expected - 1..=expected).contains(days), "{days} {expected}");
    }
    let shown = place.ok(&["trust", "status"]);
    says(&shown, &["2 of 3", "1 of 1", "root-2", "keys/root-2.pem", "yes"]);
    std::fs::remove_file(place.repo().join("keys/root-1.pem")).unwrap();
    std::fs::remove_file(place.repo().join("keys/root-3.pem")).unwrap();
    std::fs::remove_file(place.repo().join("keys/targets-3.pub")).unwrap();
    says(&place.ok(&["trust", "status"]), &["1 of 2", "root-3", "elsewhere"]);
}

#[test]
fn what_ends_soon_fails_when_asked() {
    let place = Place::new();
    for (days, late) in [
        ("29", None),
        ("31", Some("timestamp")),
        ("100", Some("snapshot, timestamp")),
        ("4000", Some("root, targets")),
    ] {
        let output = place.command(&["--json", "trust", "status", "--fail-within", days]).output().unwrap();
        assert_eq!(output.status.code(), Some(i32::from(late.is_some())), "{days}: {}", text(&output));
        // One document, whatever the verdict.
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(status["roles"].as_array().unwrap().len(), 6);
        if let Some(late) = late {
            says(&String::from_utf8_lossy(&output.stderr), &["expires within", late]);
        }
    }
    // One key a role: the loss of one is the loss of all.
    let status = place.json(&["trust", "status"]);
    let warnings: Vec<&str> =
        status["warnings"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    says(warnings[0], &["root: all 1 keys are needed"]);
    says(warnings[1], &["targets: all 1 keys are needed"]);
}

#[test]
fn what_has_expired_is_told_with_exit_code_1() {
    let place = Place::new();
    age(&place, 366);
    let output = place.command(&["trust", "status"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    says(
        &text(&output),
        &[
            "timestamp has expired",
            "nodes take no update",
            "336 days ago",
            "has expired: targets, releases, pins, snapshot, timestamp",
        ],
    );
    place.ok(&["renew"]);
    place.ok(&["trust", "status"]);
}

#[test]
fn one_key_for_two_roles_is_told() {
    let place = Place::new();
    place.ok(&["root", "prepare", "--add-key", "pins=repo/keys/releases.pub", "-o", "p.json"]);
    place.ok(&["root", "sign", "p.json", "--yes"]);
    place.ok(&["root", "commit", "p.json"]);
    says(&place.ok(&["trust", "status"]), &["releases: key", "signs for other roles too"]);
}

#[test]
fn what_is_published_is_told_apart_from_what_is_here() {
    let place = Place::new();
    let store = place.store();
    place.signed(&Fake::new("ha@1", 1, 4));
    place.ok(&["publish", "--to", &store]);
    place.ok(&["pin", "web", "ha@1", "--to", &store]);
    let pins = |args: &[&str]| {
        let status = place.json(&[["trust", "status"].as_slice(), args].concat());
        let row =
            status["roles"].as_array().unwrap().iter().find(|row| row["role"] == "pins").unwrap().clone();
        (status["from"].as_str().unwrap().to_owned(), row["version"].as_u64().unwrap())
    };
    assert_eq!(pins(&["--to", &store]), (store.clone(), 2));
    assert_eq!(pins(&[]).1, 2);
    // Somebody else's repository vouches for nothing here.
    let other = Place::new();
    says(&other.refused(&["trust", "status", "--to", &store]), &["look at the metadata of"]);
}

#[test]
fn a_timer_renews_what_it_can_when_keys_are_elsewhere() {
    let place = Place::new();
    age(&place, 320);
    let (key, away) = (place.repo().join("keys/targets.pem"), place.path("targets.pem"));
    std::fs::rename(&key, &away).unwrap();
    let output = place.command(&["renew"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    says(
        &text(&output),
        &["targets metadata ends within 60 days", "keys are not here: imgtool root prepare --renew"],
    );
    let state = || {
        let status = place.json(&["trust", "status"]);
        roles(&status).into_iter().find(|(role, _)| *role == "targets").unwrap().1.to_owned()
    };
    assert_eq!(state(), "soon");
    std::fs::rename(&away, &key).unwrap();
    place.ok(&["renew"]);
    assert_eq!(state(), "good");
}

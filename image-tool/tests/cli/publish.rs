//! Publishing: to a directory and to a server, killed, refused, busy, cut off.

use std::process::Stdio;
use std::time::Duration;

use crate::image::Fake;
use crate::place::{Place, says, snapshot};
use crate::server::{Fake as Server, Fault, TOKEN};

/// A repository with a signed image, and a server that it publishes to.
fn with_server() -> (Place, Server) {
    let place = Place::empty();
    let server = Server::start(&place.path("published"));
    std::fs::write(place.path("token"), format!("{TOKEN}\n")).unwrap();
    place.ok(&["init", "--single-key", "--remote", &server.url, "--token-file", "token"]);
    place.signed(&Fake::new("ha@1", 1, 40));
    (place, server)
}

fn whole(place: &Place) {
    place.ok(&["verify", "--all", "--store", &place.store()]);
}

#[test]
fn only_what_is_missing_is_sent() {
    let (place, server) = with_server();
    let first = place.json(&["publish", "ha@1"]);
    assert_eq!(first["sent_objects"], first["objects"]);
    assert_eq!(first["images"][0]["new"], true);
    whole(&place);

    server.seen();
    let again = place.json(&["publish"]);
    assert_eq!(
        (&again["sent_objects"], &again["sent_bytes"], &again["changed"]),
        (&0.into(), &0.into(), &false.into())
    );
    assert!(server.seen().iter().all(|(_, path, _)| path != "/v1/objects"), "nothing is uploaded");

    place.signed(&Fake::new("ha@2", 2, 44));
    let predicted = place.json(&["diff", "ha@1", "ha@2"]);
    let second = place.json(&["publish", "ha@2"]);
    assert!(second["sent_objects"].as_u64() < first["sent_objects"].as_u64(), "{second}");
    // The server needs what a node with ha@1 needs, and the new file list.
    let files = second["sent_bytes"].as_u64().unwrap() - predicted["fetch_bytes"].as_u64().unwrap();
    assert!((1..5000).contains(&files), "{files}");
    whole(&place);
}

/// Killed after every possible number of milliseconds, in the middle of everything; the store stays one that verifies.
#[test]
fn killed_at_any_moment_the_next_run_completes_it() {
    let place = Place::new();
    let store = place.store();
    place.signed(&Fake::new("ha@1", 1, 120));
    let begin = std::time::Instant::now();
    place.ok(&["publish", "--to", place.path("measure").to_str().unwrap()]);
    let whole_run = begin.elapsed();
    let mut completed = 0;
    for step in 0..10u32 {
        let dir = format!("{store}-{step}");
        for round in 0..2 {
            let mut child = place
                .command(&["publish", "--to", &dir])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            // The moment of the kill is what is tested; no event stands for it.
            std::thread::sleep(whole_run * (step + round) / 10);
            child.kill().unwrap();
            child.wait().unwrap();
            let timestamp = std::path::Path::new(&dir).join("tuf/metadata/timestamp.json");
            if timestamp.exists() {
                // Visible means complete, also after a kill.
                place.ok(&["verify", "--all", "--store", &dir]);
                completed += 1;
            }
        }
        place.ok(&["publish", "--to", &dir]);
        place.ok(&["verify", "--all", "--store", &dir]);
        assert_eq!(place.json(&["publish", "--to", &dir])["changed"], false);
        assert_eq!(std::fs::read_dir(format!("{dir}/tmp")).unwrap().count(), 0, "temporary files are swept");
        std::fs::remove_dir_all(&dir).unwrap();
    }
    assert!(completed < 20, "no kill came in time");
}

#[test]
fn a_killed_init_leaves_a_complete_repository_or_none() {
    let place = Place::empty();
    for step in 0..12u32 {
        let repo = place.path(&format!("repo-{step}"));
        let args = ["init", "--single-key", "--repo", repo.to_str().unwrap()];
        let mut child = place.command(&args).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(u64::from(step) * 1200));
        child.kill().unwrap();
        child.wait().unwrap();
        if repo.exists() {
            place.ok(&["key", "list", "--repo", repo.to_str().unwrap()]);
        } else {
            place.ok(&args);
        }
    }
}

#[test]
fn the_wrong_token_is_named_and_never_shown() {
    let (place, server) = with_server();
    std::fs::write(place.path("token"), "wrong-secret\n").unwrap();
    let error = place.refused(&["publish"]);
    says(&error, &["not authorised (status 401)", "the token from", "is not the server's"]);
    assert!(!error.contains("wrong-secret"), "{error}");
    std::fs::remove_file(place.path("token")).unwrap();
    says(&place.refused(&["publish"]), &["read the server's token"]);
    std::fs::write(place.repo().join("bascule.toml"), format!("remote = {:?}\n", server.url)).unwrap();
    says(&place.refused(&["publish"]), &["no token was given", "BASCULE_TOKEN"]);
    std::fs::write(place.path("other"), TOKEN).unwrap();
    place.ok(&["publish", "--token-file", place.path("other").to_str().unwrap()]);
    assert!(place.command(&["publish"]).env("BASCULE_TOKEN", TOKEN).output().unwrap().status.success());
    std::fs::write(place.path("empty"), "\n").unwrap();
    says(&place.refused(&["publish", "--token-file", "empty"]), &["expected a token"]);
}

#[test]
fn a_busy_server_and_broken_connections_are_tried_again() {
    let (place, server) = with_server();
    server.fault("/v1/metadata", Fault::Busy);
    server.fault("/v1/objects", Fault::Busy);
    server.fault("/v1/objects", Fault::Hangup { after_work: false });
    server.fault("/v1/objects/missing", Fault::Hangup { after_work: false });
    server.fault("/v1/commit", Fault::Hangup { after_work: true });
    place.ok(&["publish"]);
    whole(&place);
    assert_eq!(place.json(&["publish"])["changed"], false);
}

#[test]
fn a_refusal_is_shown_in_the_servers_words() {
    let (place, server) = with_server();
    server.fault("/v1/commit", Fault::Status(422, "manifest: too\u{1b}[31m odd"));
    let error = place.refused(&["publish"]);
    says(&error, &["refused: manifest: too [31m odd", "can be tried again"]);
    assert!(!error.contains('\u{1b}'));
}

#[test]
fn a_full_server_is_an_error_that_names_it() {
    let (place, server) = with_server();
    server.fault("/v1/objects", Fault::Status(507, "no space left on device"));
    says(&place.refused(&["publish"]), &["send objects to http://127.0.0.1", "status 507", "no space left"]);
    place.ok(&["publish"]);
    whole(&place);
}

#[test]
fn a_damaged_local_object_is_not_sent() {
    let (place, _server) = with_server();
    image_format::store::Store::open(place.repo().join("store")).unwrap().unpack().unwrap();
    let text = std::fs::read_to_string(place.repo().join("builds/ha@1/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let id = manifest["initramfs"]["id"].as_str().unwrap();
    let path = place.repo().join(format!("store/objects/{}/{id}", &id[..2]));
    let good = std::fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[77] ^= 1;
    std::fs::write(&path, bad).unwrap();
    says(&place.refused(&["publish"]), &["read object", id, "digest does not match"]);
    assert!(!place.path("published/tuf/metadata/timestamp.json").exists());
    std::fs::write(&path, good).unwrap();
    place.ok(&["publish"]);
    whole(&place);
}

#[test]
fn damaged_metadata_is_not_sent() {
    let (place, _server) = with_server();
    for entry in std::fs::read_dir(place.repo().join("store/tuf/metadata")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // Superseded versions are history; only what counts now is read.
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let output = place.command(&["publish"]).output().unwrap();
        if !output.status.success() {
            let role = name.trim_end_matches(".json").rsplit('.').next().unwrap().to_owned();
            says(&String::from_utf8_lossy(&output.stderr), &["load metadata", &role]);
        }
        std::fs::write(&path, good).unwrap();
    }
    place.ok(&["publish"]);
    whole(&place);
}

#[test]
fn other_content_under_a_published_name_is_refused_before_anything_is_sent() {
    let (place, server) = with_server();
    place.ok(&["publish"]);
    // Another admin with the same keys, who has built another ha@2.
    let other = Place::empty();
    copy(&place.repo(), &other.repo());
    place.signed(&Fake::new("ha@2", 2, 42));
    place.ok(&["publish"]);
    other.signed(&Fake::new("ha@2", 2, 43));
    let before = snapshot(&place.path("published"));
    server.seen();
    let error = other.refused(&[
        "publish",
        "--to",
        &server.url,
        "--token-file",
        place.path("token").to_str().unwrap(),
    ]);
    says(
        &error,
        &["ha@2 exists at http://127.0.0.1", "other content", "expected manifest", "another version"],
    );
    assert!(server.seen().iter().all(|(method, ..)| method == "GET"), "nothing was sent");
    assert_eq!(snapshot(&place.path("published")), before);
}

#[test]
fn an_image_that_was_not_named_is_not_published_by_accident() {
    let (place, _server) = with_server();
    place.signed(&Fake::new("ha@2", 2, 42));
    says(&place.refused(&["publish", "ha@1"]), &["ha@2 would be published too", "imgtool publish ha@1 ha@2"]);
    assert!(!place.path("published/tuf/metadata/timestamp.json").exists());
    place.ok(&["publish", "ha@1", "ha@2"]);
}

#[test]
fn a_destination_must_be_one() {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 4));
    says(&place.refused(&["publish"]), &["no destination is known", "--to URL"]);
    for url in ["https://host:1", "http://", "http://host/path", "ftp://x"] {
        says(
            &place.refused(&["publish", "--to", url]),
            &["expected a server's admin listener, http://HOST:PORT"],
        );
    }
    std::fs::create_dir(place.path("mine")).unwrap();
    std::fs::write(place.path("file"), "x").unwrap();
    says(&place.refused(&["publish", "--to", place.path("file").to_str().unwrap()]), &["open store"]);
    says(&place.refused(&["nodes", "--to", place.path("mine").to_str().unwrap()]), &["expected a server"]);
}

pub(crate) fn copy(from: &std::path::Path, to: &std::path::Path) {
    let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

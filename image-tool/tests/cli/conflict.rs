//! Two who sign, answers that get lost, and bringing both sides together again.

use std::process::Stdio;

use crate::image::Fake;
use crate::place::{Place, says, snapshot};
use crate::publish::copy;
use crate::server::{Fake as Server, Fault, TOKEN};

/// Two admins with the same keys, and a server that has `ha@1` of both.
fn two() -> (Place, Place, Server) {
    let place = Place::empty();
    let server = Server::start(&place.path("published"));
    let token = place.path("token");
    std::fs::write(&token, TOKEN).unwrap();
    place.ok(&["init", "--single-key", "--remote", &server.url, "--token-file", token.to_str().unwrap()]);
    place.signed(&Fake::new("ha@1", 1, 10));
    place.ok(&["publish"]);
    let other = Place::empty();
    copy(&place.repo(), &other.repo());
    (place, other, server)
}

#[test]
fn who_is_behind_is_told_to_pull_and_can() {
    let (place, other, _server) = two();
    place.signed(&Fake::new("ha@2", 2, 12));
    place.ok(&["publish"]);
    place.ok(&["pin", "web", "ha@2"]);
    let before = snapshot(&other.repo());
    let error = other.refused(&["pin", "web", "ha@1"]);
    says(&error, &["nothing was signed", "newer metadata", "imgtool pull"]);
    assert_eq!(snapshot(&other.repo()), before);
    // From the `remote` of the settings.
    let pulled = other.json(&["pull"]);
    assert_eq!((pulled["changed"].as_bool(), pulled["new_images"][0].as_str()), (Some(true), Some("ha@2")));
    other.ok(&["verify", "--all"]);
    assert_eq!(other.json(&["pull", "--from", &place.store()])["changed"], false);
    let pin = other.json(&["pin", "web", "ha@1"]);
    assert_eq!(pin["previous"], "ha@2");
    // And back.
    says(&place.refused(&["unpin", "web"]), &["newer metadata"]);
    place.ok(&["pull", "--from", &place.store()]);
    assert_eq!(place.json(&["pin", "web", "ha@2"])["previous"], "ha@1");
}

#[test]
fn two_who_sign_at_once_do_not_both_succeed() {
    let (place, other, _server) = two();
    // Both have looked; the first one's commit comes in between. Signed here only, it is the same situation.
    other.ok(&["pin", "web", "ha@1", "--no-publish"]);
    place.ok(&["pin", "db", "ha@1"]);
    says(&other.refused(&["publish"]), &["conflict"]);
    let fork = ["pin", "web", "ha@1", "--disk", "vda"];
    says(&other.refused(&fork), &["nothing was signed", "conflict", "imgtool pull --discard"]);
    // What was signed only here gives way.
    other.signed(&Fake::new("ha@2", 2, 12));
    let from = place.store();
    says(&other.refused(&["pull", "--from", &from]), &["this repository is ahead"]);
    let pulled = other.json(&["pull", "--from", &from, "--discard"]);
    assert_eq!(pulled["changed"], true);
    let list = other.json(&["list"]);
    assert_eq!((&list[0]["pinned_by"][0], &list[1]["stage"]), (&"db".into(), &"built".into()));
    other.ok(&["sign", "ha@2"]);
    other.ok(&["publish"]);
    other.ok(&["pin", "web", "ha@2"]);
    other.ok(&["verify", "--all", "--store", &from]);
}

#[test]
fn nothing_foreign_is_pulled() {
    let (place, stranger) = (Place::new(), Place::new());
    stranger.signed(&Fake::new("ha@1", 1, 4));
    stranger.ok(&["publish", "--to", &stranger.store()]);
    let before = snapshot(&place.repo());
    for args in [
        ["pull", "--from", &stranger.store()].as_slice(),
        &["pull", "--discard", "--from", &stranger.store()],
    ] {
        says(&place.refused(args), &["pull from", "timestamp"]);
        assert_eq!(snapshot(&place.repo()), before);
    }
}

#[test]
fn a_refused_change_leaves_both_sides_as_they_were() {
    let (place, _other, server) = two();
    let (here, there) = (snapshot(&place.repo()), snapshot(&place.path("published")));
    for (fault, word) in [
        (Fault::Status(409, "somebody was faster"), "conflict: somebody was faster"),
        (Fault::Status(422, "not so"), "refused: not so"),
        (Fault::Status(401, "no"), "not authorised"),
    ] {
        // Refused when it is asked whether both have the same, and when the change itself comes.
        server.fault("/v1/commit", fault.clone());
        says(&place.refused(&["pin", "web", "ha@1"]), &["nothing was signed", word]);
        server.fault("/v1/commit", Fault::Pass);
        server.fault("/v1/commit", fault);
        says(&place.refused(&["pin", "web", "ha@1"]), &["nothing was changed, here or there", word]);
        assert_eq!(snapshot(&place.repo()), here);
        assert_eq!(snapshot(&place.path("published")), there);
    }
    place.ok(&["pin", "web", "ha@1"]);
}

#[test]
fn a_lost_answer_is_settled_by_the_next_try() {
    let (place, _other, server) = two();
    server.fault("/v1/commit", Fault::Pass);
    server.fault("/v1/commit", Fault::Hangup { after_work: true });
    place.ok(&["pin", "web", "ha@1"]);
    server.fault("/v1/commit", Fault::Pass);
    server.fault("/v1/commit", Fault::Hangup { after_work: false });
    place.ok(&["pin", "web", "ha@1", "--disk", "vda"]);
    assert_eq!(place.json(&["publish"])["changed"], false);

    // No answer at all, however often: kept here, and the next publish settles it. The last try had its effect.
    server.fault("/v1/commit", Fault::Pass);
    for last in [false, false, false, false, false, true] {
        server.fault("/v1/commit", Fault::Hangup { after_work: last });
    }
    says(&place.refused(&["pin", "db", "ha@1"]), &["signed here; not known whether", "imgtool publish"]);
    assert_eq!(place.json(&["publish"])["changed"], false);
    assert_eq!(place.json(&["pin", "db", "ha@1"])["changed"], false);
}

#[test]
fn a_server_that_is_gone_is_named_and_nothing_is_signed() {
    let (place, _other, _server) = two();
    // A port that nobody listens on any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{gone}");
    let before = snapshot(&place.repo());
    let error = place.refused(&["pin", "web", "ha@1", "--to", &url]);
    says(&error, &["nothing was signed", "given up after 3 tries", &format!("no answer from {url}")]);
    assert_eq!(snapshot(&place.repo()), before);
    // Lists what is local all the same.
    let output = place.command(&["list", "--offline"]).output().unwrap();
    assert!(output.status.success());
    let pin = place.json(&["pin", "web", "ha@1", "--no-publish"]);
    assert_eq!(pin["published"], serde_json::Value::Null);
    assert_eq!(place.json(&["publish"])["changed"], true);
}

#[test]
fn one_at_a_time() {
    let (place, ..) = two();
    let lock = std::fs::File::open(place.repo().join("bascule.toml")).unwrap();
    lock.lock().unwrap();
    for args in [["pin", "web", "ha@1"].as_slice(), &["sign", "ha@1"], &["publish"], &["unpin", "web"]] {
        says(&place.refused(args), &["another imgtool is changing this repository"]);
    }
    place.ok(&["list", "--offline"]);
    drop(lock);
    place.ok(&["pin", "web", "ha@1"]);
}

/// Killed at any moment, both sides are whole, and one command brings them together.
#[test]
fn a_killed_pin_leaves_two_sides_that_come_together() {
    let (place, _other, server) = two();
    let begin = std::time::Instant::now();
    place.ok(&["pin", "web", "ha@1"]);
    let whole = begin.elapsed();
    for step in 0..16u32 {
        let disk = format!("disk{step}");
        let args = ["pin", "web", "ha@1", "--disk", &disk];
        let mut child = place.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The moment of the kill is what is tested; no event stands for it.
        std::thread::sleep(whole * step / 12);
        child.kill().unwrap();
        child.wait().unwrap();
        place.ok(&["verify", "--all"]);
        place.ok(&["verify", "--all", "--store", &place.store()]);
        let output = place.command(&["publish"]).output().unwrap();
        if !output.status.success() {
            says(&String::from_utf8_lossy(&output.stderr), &["newer metadata", "imgtool pull"]);
            place.ok(&["pull", "--from", &place.store()]);
            assert_eq!(place.json(&["publish"])["changed"], false);
        }
        server.seen();
    }
    place.ok(&["pin", "web", "ha@1", "--disk", "vda"]);
}

//! A server that signs snapshot and timestamp itself, and an admin who has no keys for them.

use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::common::{assert_says, place, view};
use bascule_tests::fixture::{self, IMAGE};
use bascule_tests::fleet::{Repo, Server};
use bascule_tests::http::{Request, get_json};
use bascule_tests::process::Lifetime;
use bascule_tests::workspace;

/// A server with keys of its own, and a repository with a built image.
fn pair(place: &Path) -> (Repo<'static>, Server) {
    let data = place.join("server");
    let keys = Server::new_keys(&data, view()).unwrap();
    let server = Server::start(&data, Lifetime::Bound).unwrap();
    let repo = Repo::at(view(), &place.join("repo"), &workspace::root().join("images")).unwrap();
    repo.init_online(&server, &keys).unwrap();
    fixture::add_build(repo.dir()).unwrap();
    (repo, server)
}

/// What counts at the server, by role.
fn current(server: &Server) -> Value {
    get_json(server.admin, "/v1/metadata", Some(&server.token().unwrap())).unwrap()["current"].clone()
}

fn version(server: &Server, role: &str) -> u64 {
    current(server)[role]["version"].as_u64().unwrap()
}

#[test]
fn an_image_goes_from_a_build_to_a_pin_without_keys_of_snapshot_and_timestamp() {
    let (repo, server) = pair(&place("online"));
    for role in ["snapshot", "timestamp"] {
        assert!(!repo.dir().join(format!("keys/{role}.pem")).exists());
    }
    repo.sign(IMAGE).unwrap();
    repo.publish(IMAGE).unwrap();
    repo.run(&["assign", "--default", "web"]).unwrap();
    repo.pin("web", IMAGE).unwrap();
    assert_eq!((version(&server, "pins"), version(&server, "timestamp")), (3, 3));
    repo.run(&["verify", IMAGE, "--store", server.data().to_str().unwrap()]).unwrap();
    let script = Request::get("/boot.ipxe?mac=52-54-00-12-34-56").send(server.delivery).unwrap().text();
    assert_says(&script, &["group web", IMAGE]);
    let ready = Request::get("/readyz").send(server.delivery).unwrap();
    assert_eq!((ready.status, ready.text().as_str()), (200, "ok\n"));
    let metrics = Request::get("/metrics").send(server.delivery).unwrap().text();
    assert_says(
        &metrics,
        &["bascule_metadata_expiry_timestamp_seconds{role=\"pins\"} ", "bascule_resign_failures_total 0"],
    );
}

/// The server dies at any moment of a commit: also between the signature and its publication.
#[test]
fn a_server_killed_while_it_completes_a_change_shows_old_or_new() {
    let (repo, mut server) = pair(&place("online-killed"));
    repo.sign(IMAGE).unwrap();
    repo.publish(IMAGE).unwrap();
    let begin = Instant::now();
    repo.pin("web", IMAGE).unwrap();
    let whole = begin.elapsed();
    for step in 1..8u32 {
        let before = version(&server, "pins");
        let disk = format!("disk{step}");
        let args = ["pin", "web", IMAGE, "--disk", &disk];
        let mut child = repo.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The moment of the kill is what is tested; no event stands for it.
        thread::sleep(whole * step / 8);
        server.kill();
        server.restart().unwrap();
        let done = child.wait().unwrap().success();
        let after = version(&server, "pins");
        assert!(after == before || after == before + 1, "pins: {before}, then {after}");
        assert!(!done || after == before + 1, "what was acknowledged is there");
        assert_eq!(Request::get("/readyz").send(server.delivery).unwrap().status, 200);
        if !repo.try_run(&["publish"]).unwrap().status.success() {
            repo.run(&["pull"]).unwrap();
        }
        repo.run(&["verify", IMAGE]).unwrap();
    }
    repo.pin("web", IMAGE).unwrap();
    assert_eq!(repo.run(&["publish"]).unwrap().0["changed"], false);
}

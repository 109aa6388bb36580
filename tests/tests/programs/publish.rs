//! Publishing: killed and resumed, refused, and with a full disk.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{assert_says, files, pair, place};
use bascule_tests::fixture::IMAGE;
use bascule_tests::fleet::{Repo, Server};
use bascule_tests::http::{Request, get_json};

/// The server offers either all of the image or nothing of it.
fn published(server: &Server) -> bool {
    let names = get_json(server.admin, "/v1/metadata", Some(&server.token().unwrap())).unwrap().to_string();
    let metadata = names.contains("timestamp.json");
    assert_eq!(metadata, server.data().join("tuf/metadata/timestamp.json").exists());
    metadata
}

/// `imgtool verify` re-reads every chunk of the image in the server's store.
fn verify_store(repo: &Repo<'_>, server: &Server) {
    repo.run(&["verify", IMAGE, "--store", server.data().to_str().unwrap()]).unwrap();
}

/// Files with objects in them.
fn stored(server: &Server) -> usize {
    ["objects", "packs"].iter().map(|dir| files(&server.data().join(dir)).len()).sum()
}

#[test]
fn killed_at_any_moment_it_is_resumed_and_ends_whole() {
    let place = place("killed");
    let (repo, server) = pair(&place);
    // How long a whole publication takes, measured on a server of its own.
    let (other_repo, _other) = pair(&place_in(&place, "measured"));
    let begin = Instant::now();
    other_repo.publish(IMAGE).unwrap();
    let whole = begin.elapsed();

    let mut objects = 0;
    for step in 1..10u32 {
        let mut child =
            repo.command(&["publish", IMAGE]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(whole * step / 12);
        child.kill().unwrap();
        child.wait().unwrap();
        let now = stored(&server);
        assert!(now >= objects, "objects were lost: {objects} before, {now} after attempt {step}");
        objects = now;
        if published(&server) {
            break;
        }
    }
    repo.publish(IMAGE).unwrap();
    assert!(published(&server));
    verify_store(&repo, &server);
    assert_eq!(files(&server.data().join("tmp")).len(), 0, "temporary files were left");
}

fn place_in(place: &std::path::Path, name: &str) -> std::path::PathBuf {
    let dir = place.join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn a_server_killed_in_the_middle_resumes_too() {
    let place = place("server-killed");
    let (repo, mut server) = pair(&place);
    let mut child =
        repo.command(&["publish", IMAGE]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begin = Instant::now();
    while stored(&server) + files(&server.data().join("tmp")).len() == 0 {
        assert!(begin.elapsed() < Duration::from_secs(60), "nothing was uploaded");
        thread::yield_now();
    }
    server.kill();
    assert!(!child.wait().unwrap().success(), "imgtool must notice that the server is gone");
    server.restart().unwrap();
    repo.publish(IMAGE).unwrap();
    verify_store(&repo, &server);
}

#[test]
fn without_the_right_token_nothing_is_stored() {
    let place = place("token");
    let (repo, server) = pair(&place);
    let token = place.join("other.token");
    std::fs::write(&token, "0123456789abcdef0123456789abcdef\n").unwrap();
    let toml = format!("remote = {:?}\ntoken_file = {:?}\n", server.admin_url(), token);
    std::fs::write(repo.dir().join("bascule.toml"), toml).unwrap();
    assert_says(&repo.refused(&["publish", IMAGE]).unwrap(), &["401"]);
    std::fs::remove_file(&token).unwrap();
    assert_says(&repo.refused(&["publish", IMAGE]).unwrap(), &["other.token"]);
    assert_eq!(stored(&server), 0);

    for (method, target) in [
        ("POST", "/v1/objects/missing"),
        ("PUT", "/v1/objects"),
        ("POST", "/v1/commit"),
        ("GET", "/v1/metadata"),
        ("GET", "/v1/nodes"),
    ] {
        for token in [None, Some("wrong")] {
            let answer = Request { method, target, token, body: b"{}" }.send(server.admin).unwrap();
            assert_eq!(answer.status, 401, "{method} {target} {token:?}: {}", answer.text());
        }
    }
}

#[test]
fn an_unknown_image_is_refused() {
    let (repo, _server) = pair(&place("unknown-image"));
    assert_says(&repo.refused(&["publish", "base@77"]).unwrap(), &["base@77"]);
    assert_says(&repo.refused(&["sign", "base@77"]).unwrap(), &["base@77"]);
    assert_says(&repo.refused(&["pin", "web", "base@77"]).unwrap(), &["base@77"]);
    assert_says(&repo.refused(&["inspect", "base@77"]).unwrap(), &["base@77"]);
    assert_says(&repo.refused(&["diff", "base@77", IMAGE]).unwrap(), &["base@77"]);
    assert_says(&repo.refused(&["unpin", "nobody"]).unwrap(), &["nobody"]);
}

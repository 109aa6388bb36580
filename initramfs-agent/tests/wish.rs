//! From a server's signed files to the one image that a node should run: every party that lies is found out.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod common;

use std::time::Duration;

use common::{HttpServer, Repo, manifest, node, now};
use image_format::Sha256;
use image_format::pin::Assignments;
use image_format::record::{Record, TrustedText};
use initramfs_agent::fleet::Server;
use initramfs_agent::fleet::wish::{Refreshed, WishError, ask};
use signing::repo::Section;
use signing::{TrustError, UnixTime};

fn refresh_at(server: &HttpServer, root: &[u8], kept: Option<&TrustedText>, now: UnixTime) -> Refreshed {
    let mut client = Server::new(server.base(), Duration::from_millis(300));
    let mut record = Record::default();
    record.trusted = kept.cloned();
    ask(&mut client, root, &record, &node(), None, now)
}

fn refresh(server: &HttpServer, root: &[u8], kept: Option<&TrustedText>) -> Refreshed {
    refresh_at(server, root, kept, now())
}

fn error(server: &HttpServer, repo: &Repo) -> WishError {
    refresh(server, &repo.root, None).wish.unwrap_err()
}

/// A repository with `base@1` released and pinned for `cluster`, the default group.
fn pinned() -> Repo {
    let mut repo = Repo::new();
    let digest = repo.release(&manifest("base@1", 1));
    repo.pin("cluster", "base@1", digest);
    repo.assign_default("cluster");
    repo
}

#[test]
fn pin_and_release_together_are_a_wish_and_are_kept() {
    let mut repo = pinned();
    let server = HttpServer::start(repo.publish());
    let first = refresh(&server, &repo.root, None);
    let wish = first.wish.unwrap();
    assert_eq!((wish.group.as_str(), wish.manifest.name.to_string().as_str()), ("cluster", "base@1"));
    assert_eq!(wish.digest, Sha256::of(&wish.manifest_bytes));

    // What was proved is kept: the second time only the timestamp, the next root and the manifest are asked for.
    let kept = first.trusted.unwrap();
    let before = server.requests().len();
    assert!(refresh(&server, &repo.root, Some(&kept)).wish.is_ok());
    let again: Vec<String> = server.requests().split_off(before);
    let target = format!("/targets/images/{}.base@1.json", wish.digest);
    assert_eq!(again, ["/metadata/2.root.json", "/metadata/timestamp.json", target.as_str()]);
}

#[test]
fn an_assigned_node_follows_its_group_and_not_the_default() {
    let mut repo = pinned();
    let other = repo.release(&manifest("base@2", 2));
    repo.pin("lab", "base@2", other);
    let mut assignments = Assignments::empty();
    assignments.default = Some("cluster".parse().unwrap());
    assignments.nodes.insert(node(), "lab".parse().unwrap());
    repo.assign(&assignments);
    let server = HttpServer::start(repo.publish());
    assert_eq!(refresh(&server, &repo.root, None).wish.unwrap().manifest.name.to_string(), "base@2");
}

#[test]
fn what_is_missing_is_named() {
    let mut repo = Repo::new();
    let server = HttpServer::start(repo.publish());
    assert!(matches!(error(&server, &repo), WishError::NoGroup { .. }), "no assignments");

    repo.assign(&Assignments::empty());
    let server = HttpServer::start(repo.publish());
    let no_default = error(&server, &repo).to_string();
    assert_eq!(no_default, "node 52-54-00-12-34-56 is in no group: assign it, or set a default group");

    repo.assign_default("cluster");
    let server = HttpServer::start(repo.publish());
    assert!(matches!(error(&server, &repo), WishError::NoPin { .. }));

    repo.pin("cluster", "base@1", Sha256::of(b"never released"));
    let server = HttpServer::start(repo.publish());
    assert!(matches!(error(&server, &repo), WishError::NotReleased { .. }));
}

#[test]
fn a_pin_cannot_make_an_image_and_a_release_cannot_run_one() {
    let mut repo = pinned();
    let pinned = Sha256::of(b"another manifest");
    repo.pin("cluster", "base@1", pinned);
    let server = HttpServer::start(repo.publish());
    let WishError::Disagreement { pinned: found, .. } = error(&server, &repo) else {
        panic!("they disagree")
    };
    assert_eq!(found, pinned);
}

#[test]
fn another_groups_pin_or_another_images_manifest_is_refused() {
    let mut repo = pinned();
    let digest = repo.release(&manifest("base@1", 1));
    repo.put_pin_under("cluster", "lab", "base@1", digest);
    let server = HttpServer::start(repo.publish());
    assert!(matches!(error(&server, &repo), WishError::ForeignPin { .. }));

    let mut repo = pinned();
    let digest = repo.release_as("base@1", &manifest("base@2", 2));
    repo.pin("cluster", "base@1", digest);
    let server = HttpServer::start(repo.publish());
    assert!(matches!(error(&server, &repo), WishError::ForeignManifest { .. }));
}

#[test]
fn images_for_other_machines_and_below_the_floor_are_refused() {
    for (what, change) in [
        ("arch", (|manifest| manifest.arch = "arm64".to_owned()) as fn(&mut image_format::Manifest)),
        ("class", |manifest| manifest.class = "gpu".to_owned()),
    ] {
        let mut repo = pinned();
        let mut unfit = manifest("base@1", 1);
        change(&mut unfit);
        let digest = repo.release(&unfit);
        repo.pin("cluster", "base@1", digest);
        let server = HttpServer::start(repo.publish());
        let WishError::Unfit { what: found, .. } = error(&server, &repo) else {
            panic!("{what} does not fit")
        };
        assert_eq!(found, what);
    }
    let mut repo = pinned();
    repo.floor("base", 2);
    let server = HttpServer::start(repo.publish());
    assert!(matches!(error(&server, &repo), WishError::BelowFloor { counter: 1, floor: 2, .. }));
    repo.floor("base", 1);
    let server = HttpServer::start(repo.publish());
    assert!(refresh(&server, &repo.root, None).wish.is_ok());
}

#[test]
fn a_changed_target_is_refused_and_the_metadata_are_kept_all_the_same() {
    let mut repo = pinned();
    let mut files = repo.publish();
    let path = files.keys().find(|path| path.contains("/images/")).unwrap().clone();
    let bytes = files.get_mut(&path).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    let server = HttpServer::start(files);
    let refreshed = refresh(&server, &repo.root, None);
    assert!(matches!(refreshed.wish.unwrap_err(), WishError::Target { .. }));
    assert!(refreshed.trusted.unwrap().timestamp.is_some());
}

#[test]
fn a_repository_of_somebody_else_is_not_trusted() {
    let mut theirs = pinned();
    let server = HttpServer::start(theirs.publish());
    let ours = Repo::new();
    let WishError::Trust(TrustError::Threshold { role, .. }) = error(&server, &ours) else {
        panic!("not our keys")
    };
    assert_eq!(role, "timestamp");
}

#[test]
fn old_metadata_block_the_update_and_the_trusted_files_stay() {
    let mut repo = pinned();
    let server = HttpServer::start(repo.publish());
    let kept = refresh(&server, &repo.root, None).trusted.unwrap();
    let frozen = refresh_at(&server, &repo.root, Some(&kept), now().plus_days(31));
    assert!(matches!(frozen.wish, Err(WishError::Trust(TrustError::Expired { .. }))), "{:?}", frozen.wish);
    assert_eq!(frozen.trusted.unwrap(), kept);
}

#[test]
fn a_rolled_back_server_is_found_out() {
    let mut repo = pinned();
    let old = repo.publish();
    let digest = repo.release(&manifest("base@2", 2));
    repo.pin("cluster", "base@2", digest);
    let server = HttpServer::start(repo.publish());
    let kept = refresh(&server, &repo.root, None).trusted.unwrap();
    let server = HttpServer::start(old);
    let wish = refresh(&server, &repo.root, Some(&kept)).wish;
    assert!(matches!(wish, Err(WishError::Trust(TrustError::Rollback { .. }))), "{wish:?}");
}

#[test]
fn a_pin_may_go_down() {
    let mut repo = pinned();
    let newer = repo.release(&manifest("base@2", 2));
    repo.pin("cluster", "base@2", newer);
    let server = HttpServer::start(repo.publish());
    let kept = refresh(&server, &repo.root, None).trusted.unwrap();
    let older = repo.release(&manifest("base@1", 1));
    repo.pin("cluster", "base@1", older);
    let server = HttpServer::start(repo.publish());
    let wish = refresh(&server, &repo.root, Some(&kept)).wish.unwrap();
    assert_eq!(wish.manifest.name.to_string(), "base@1");
}

#[test]
fn nobody_there_is_no_verdict_on_the_metadata() {
    let repo = Repo::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let mut client = Server::new(base, Duration::from_millis(50));
    let wish = ask(&mut client, &repo.root, &Record::default(), &node(), None, now()).wish.unwrap_err();
    assert!(wish.is_unreachable(), "{wish}");
}

#[test]
fn the_floor_is_signed_by_the_top_level_alone() {
    let mut repo = pinned();
    assert!(repo.repository.set_target(Section::Releases, "floor", 0, &[0; 32], None).is_err());
}

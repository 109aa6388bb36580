//! Missing and wrong keys; other content under a name that exists.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{assert_says, pair, place, repo, view};
use bascule_tests::fixture::IMAGE;
use bascule_tests::fleet::Repo;
use bascule_tests::workspace;

#[test]
fn keys_are_private_files_and_needed() {
    let place = place("keys");
    let repo = repo(&place);
    for role in ["root", "targets", "releases", "pins", "snapshot", "timestamp"] {
        let path = repo.dir().join(format!("keys/{role}.pem"));
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    fs::remove_file(repo.dir().join("keys/pins.pem")).unwrap();
    assert_says(&repo.refused(&["pin", "web", IMAGE]).unwrap(), &["pins"]);
}

#[test]
fn a_key_that_the_root_does_not_list_signs_nothing() {
    let place = place("wrong-key");
    let repo = repo(&place);
    let stranger = Repo::at(view(), &place.join("stranger"), &workspace::root().join("images")).unwrap();
    stranger.init(None).unwrap();
    fs::copy(stranger.dir().join("keys/pins.pem"), repo.dir().join("keys/pins.pem")).unwrap();
    assert_says(&repo.refused(&["pin", "web", IMAGE]).unwrap(), &["pins"]);
}

#[test]
fn a_server_keeps_its_first_root() {
    let place = place("foreign-root");
    let (repo, server) = pair(&place);
    repo.publish(IMAGE).unwrap();
    let stranger = Repo::at(view(), &place.join("stranger"), &workspace::root().join("images")).unwrap();
    stranger.init(Some(&server)).unwrap();
    let message = stranger.refused(&["assign", "--default", "web"]).unwrap();
    assert_says(&message, &["root"]);
}

#[test]
fn an_existing_repository_is_not_overwritten() {
    let repo = repo(&place("init-twice"));
    let before = fs::read(repo.dir().join("root.json")).unwrap();
    assert_says(&repo.refused(&["init"]).unwrap(), &["exists"]);
    assert_eq!(fs::read(repo.dir().join("root.json")).unwrap(), before);
}

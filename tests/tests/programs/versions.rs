//! Other content under an existing `role@version` is refused at every door: build, server.

use std::path::Path;

use bascule_tests::edit;
use bascule_tests::fixture::IMAGE;
use bascule_tests::fleet::{Repo, Server};
use bascule_tests::http::get_json;
use bascule_tests::workspace;

use crate::common::{assert_says, pair, place, unsigned};

/// A copy of the recipes in which `base` has one file more.
fn other_recipes(place: &Path) -> std::path::PathBuf {
    let images = place.join("images");
    edit::copy_dir(&workspace::root().join("images"), &images).unwrap();
    edit::write(&images.join("base/overlay/etc/other"), "other content\n").unwrap();
    images
}

fn build(repo: &Repo<'_>, images: &Path) -> Result<(), String> {
    let agent = workspace::built("imgagent").unwrap();
    let words = [
        "build",
        "base",
        "--version",
        "1",
        "--images",
        images.to_str().unwrap(),
        "--agent",
        agent.to_str().unwrap(),
    ];
    let output = repo.try_run(&words).unwrap();
    if output.status.success() { Ok(()) } else { Err(output.stderr) }
}

fn published(server: &Server) -> String {
    get_json(server.admin, "/v1/metadata", Some(&server.token().unwrap())).unwrap()["targets"].to_string()
}

#[test]
fn a_build_does_not_replace_another() {
    let place = place("build-again");
    let repo = unsigned(&place);
    let manifest = repo.dir().join("builds").join(IMAGE).join("manifest.json");
    let before = std::fs::read(&manifest).unwrap();
    let message = build(&repo, &other_recipes(&place)).unwrap_err();
    assert_says(&message, &[IMAGE, "exists with other content"]);
    assert_eq!(std::fs::read(&manifest).unwrap(), before);
}

#[test]
fn a_server_keeps_what_it_has_under_a_name() {
    let place = place("publish-again");
    let (repo, server) = pair(&place);
    repo.publish(IMAGE).unwrap();
    let before = published(&server);

    // The same admin, the same keys, on another machine, from the state before.
    let other = unsigned(&place);
    std::fs::remove_dir_all(other.dir().join("builds").join(IMAGE)).unwrap();
    build(&other, &other_recipes(&place)).unwrap();
    other.sign(IMAGE).unwrap();
    other.set_remote(&server).unwrap();
    assert_says(&other.refused(&["publish", IMAGE]).unwrap(), &["other content"]);
    assert_eq!(published(&server), before);
    repo.run(&["verify", IMAGE, "--store", server.data().to_str().unwrap()]).unwrap();
}

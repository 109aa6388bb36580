//! Recipes with mistakes: the error names file, place and what was expected; no build is left behind.

use std::fs;

use crate::common::{assert_says, place, view};
use bascule_tests::edit;
use bascule_tests::fleet::Repo;
use bascule_tests::workspace;

/// A repository and a copy of the recipes in which `base` is `change`d.
fn build(name: &str, role: &str, more: &str) -> (String, Vec<String>) {
    let place = place(name);
    let images = place.join("images");
    edit::copy_dir(&workspace::root().join("images"), &images).unwrap();
    fs::create_dir_all(images.join("bad")).unwrap();
    fs::write(images.join("bad/recipe.toml"), format!("extends = \"base\"\n{more}")).unwrap();
    let repo = Repo::at(view(), &place.join("repo"), &images).unwrap();
    repo.init(None).unwrap();
    let args = ["build", role, "--version", "1", "--images", images.to_str().unwrap()];
    let message = repo.refused(&args).unwrap();
    let builds = repo.dir().join("builds");
    let left = if builds.exists() {
        fs::read_dir(builds).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    } else {
        Vec::new()
    };
    (message, left)
}

#[test]
fn an_unknown_field_is_named_with_its_line() {
    let (message, left) = build("unknown-field", "bad", "pakages = [\"tree\"]\n");
    assert_says(&message, &["bad/recipe.toml:2", "pakages"]);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_unknown_role_is_named_with_those_that_exist() {
    let (message, left) = build("unknown-role", "bsae", "");
    assert_says(&message, &["bsae", "base", "ha"]);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_package_that_does_not_exist_is_named() {
    let (message, left) = build("unknown-package", "bad", "packages = [\"no-such-package-anywhere\"]\n");
    assert_says(&message, &["no-such-package-anywhere"]);
    assert!(left.is_empty(), "{left:?}");
}

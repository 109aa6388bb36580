//! The same recipe built twice, in two repositories, gives the same manifest and the same root hash.
//!
//! The first of them becomes the [fixture](crate::fixture) of the tests that need an image.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Account;
use crate::fixture;
use crate::fleet::Repo;
use crate::view::View;
use crate::{edit, workspace};

pub(super) fn run(view: &View) -> Result<Account> {
    let dir = fixture::dir();
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    fs::create_dir_all(&dir)?;
    let images = workspace::root().join("images");
    let first = Repo::at(view, &dir.join("repo"), &images)?;
    first.init(None)?;
    let one = build(&first)?;

    // The initramfs holds the trusted root, so the second repository must be the same admin's.
    let second = Repo::at(view, &dir.join("again"), &images)?;
    second.init(None)?;
    fs::copy(first.dir().join("root.json"), second.dir().join("root.json"))?;
    let two = build(&second)?;
    ensure!(one == two, "two builds of {} differ: {}", fixture::IMAGE, differences(&one, &two));
    fs::remove_dir_all(second.dir())?;

    first.sign(fixture::IMAGE)?;
    edit::write(&dir.join("complete"), "")?;
    let hash = one["root"]["verity"]["root_hash"].as_str().unwrap_or_default();
    Ok(Account::one(format!("root hash {}…", &hash[..hash.len().min(16)])))
}

fn build(repo: &Repo<'_>) -> Result<Value> {
    let (role, version) = fixture::IMAGE.split_once('@').expect("the fixture has a version");
    repo.build(role, version)?;
    manifest(&repo.dir().join("builds").join(fixture::IMAGE).join("manifest.json"))
}

fn manifest(path: &Path) -> Result<Value> {
    let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("read {}", path.display()))
}

/// The names of the manifest's fields that differ.
fn differences(one: &Value, two: &Value) -> String {
    let fields = one.as_object().into_iter().flatten();
    let differ: Vec<&str> = fields
        .filter(|(name, value)| two.get(name.as_str()) != Some(value))
        .map(|(name, _)| name.as_str())
        .collect();
    differ.join(", ")
}

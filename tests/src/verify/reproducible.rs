//! The same recipe built twice, in two repositories, gives the same manifest and the same root hash.
//!
//! Other implementations read what it consists of: `fsck.erofs` the root image, `veritysetup` the same root hash.
//!
//! The first of them becomes the [fixture](crate::fixture) of the tests that need an image.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Account;
use crate::fixture;
use crate::fleet::Repo;
use crate::view::View;
use crate::{edit, process, workspace};

pub(super) fn run(view: &View) -> Result<Account> {
    let dir = fixture::dir();
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    fs::create_dir_all(&dir)?;
    let images = workspace::root().join("images");
    let first = Repo::at(view, &dir.join("repo"), &images)?;
    first.init(None)?;
    let one = build(&first, &[])?;

    // The initramfs holds the trusted root, so the second repository must be the same admin's.
    let second = Repo::at(view, &dir.join("again"), &images)?;
    second.init(None)?;
    fs::copy(first.dir().join("root.json"), second.dir().join("root.json"))?;
    let two = build(&second, &["--keep-tree"])?;
    ensure!(one == two, "two builds of {} differ: {}", fixture::IMAGE, differences(&one, &two));
    others_agree(view, &second.dir().join("builds").join(fixture::IMAGE), &two)?;
    fs::remove_dir_all(second.dir())?;

    fixture::keep_unsigned()?;
    first.sign(fixture::IMAGE)?;
    edit::write(&dir.join("complete"), "")?;
    let hash = one["root"]["verity"]["root_hash"].as_str().unwrap_or_default();
    Ok(Account::one(format!("root hash {}…", &hash[..hash.len().min(16)])))
}

fn build(repo: &Repo<'_>, more: &[&str]) -> Result<Value> {
    let (role, version) = fixture::IMAGE.split_once('@').expect("the fixture has a version");
    repo.build_with(role, version, more)?;
    manifest(&repo.dir().join("builds").join(fixture::IMAGE).join("manifest.json"))
}

/// The kept root image, read by erofs-utils and hashed by cryptsetup.
fn others_agree(view: &View, build: &Path, manifest: &Value) -> Result<()> {
    let (root, tree) = (build.join("root.erofs"), build.join("root.tree"));
    process::run(Command::new("fsck.erofs").arg(&root), view)?.success("fsck.erofs")?;
    let field = |name: &str| manifest["root"]["verity"][name].as_str().unwrap_or_default();
    let mut command = Command::new("/usr/sbin/veritysetup");
    command.args(["format", "--no-superblock", "--salt", field("salt")]).args([&root, &tree]);
    let output = process::run(&command, view)?.success("veritysetup format")?;
    let line = output.stdout.lines().find(|line| line.starts_with("Root hash:"));
    let found = line.and_then(|line| line.split_whitespace().last()).unwrap_or_default();
    ensure!(
        found == field("root_hash"),
        "root hash: expected {} of the manifest, found {found}",
        field("root_hash")
    );
    Ok(())
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

//! python-tuf, another implementation of The Update Framework: its client reads our repository, our client reads its.
//!
//! The scripts in `tests/interop` are the Python side. Ours are the programs: `imgtool` writes, `imgserver` serves, and
//! `tuf-client` reads through the same `signing::client` as the agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Account;
use crate::fixture::{self, Stage};
use crate::fleet::{Repo, Server};
use crate::process::{self, Lifetime};
use crate::view::View;
use crate::{build, edit, python, workspace};

const GROUP: &str = "web";
/// Exit code of the script for a repository that python-tuf refuses.
const REFUSED: i32 = 3;

pub(super) fn run(view: &View) -> Result<Account> {
    let dir = workspace::target_dir().join("bascule-interop");
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    let python = python::environment(view, "interop", &script("requirements.txt"))?;
    let passed = theirs_reads_ours(view, &python, &dir)? + ours_reads_theirs(view, &python, &dir)?;
    Ok(Account { passed, failed: 0, text: format!("python-tuf, {passed} things shown") })
}

fn script(name: &str) -> PathBuf {
    workspace::root().join("tests/interop").join(name)
}

/// Our client against a repository that python-tuf writes and serves.
fn ours_reads_theirs(view: &View, python: &Path, dir: &Path) -> Result<usize> {
    let client = build::tuf_client(view, "tuf-client")?;
    let dir = dir.join("theirs");
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    let mut command = Command::new(python);
    command.arg(script("write_repository.py")).arg(client).arg(dir).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = process::run(&command, view)?.success("our client reads python-tuf's repository")?;
    Ok(output.stdout.lines().count())
}

/// python-tuf's client against a repository that `imgtool` wrote and `imgserver` serves.
fn theirs_reads_ours(view: &View, python: &Path, dir: &Path) -> Result<usize> {
    let repo_dir = dir.join("repo");
    fixture::copy_to(&repo_dir, Stage::Signed)?;
    let repo = Repo::at(view, &repo_dir, &workspace::root().join("images"))?;
    let server = Server::start(&dir.join("server"), Lifetime::Bound)?;
    repo.set_remote(&server)?;
    repo.publish(fixture::IMAGE)?;
    repo.run(&["assign", "--default", GROUP])?;
    repo.pin(GROUP, fixture::IMAGE)?;

    let image = format!("images/{}.json", fixture::IMAGE);
    let pin = format!("pins/{GROUP}.json");
    let reader = Reader {
        view,
        python,
        base: server.delivery.to_string(),
        dir: dir.join("reader"),
        root: repo_dir.join("root.json"),
    };
    let first = reader.read(&[&image, &pin])?;
    let listed = |path: &str| first["targets"][path].as_str().unwrap_or_default().to_owned();
    let target = |path: &str| {
        let (folder, name) = path.split_once('/').expect("both paths have a folder");
        server.data().join("tuf/targets").join(folder).join(format!("{}.{name}", listed(path)))
    };
    ensure!(target(&image).is_file() && target(&pin).is_file(), "python-tuf read other targets: {first}");

    repo.run(&["renew"])?;
    repo.run(&["assign", "52-54-00-12-34-99", GROUP])?;
    let second = reader.read(&[&image, &pin])?;
    let version = |read: &Value, role: &str| read["versions"][role].as_u64().unwrap_or(0);
    for role in ["timestamp", "snapshot", "pins"] {
        let (old, new) = (version(&first, role), version(&second, role));
        ensure!(new > old, "python-tuf, {role} signed anew: expected a version above {old}, found {new}");
    }

    let damaged = target(&image);
    flip(&damaged)?;
    reader.forget_targets()?;
    reader.refused(&[&image], "LengthOrHashMismatchError")?;
    flip(&damaged)?;
    reader.read(&[&image])?;
    let timestamp = server.data().join("tuf/metadata/timestamp.json");
    let whole = fs::read(&timestamp).with_context(|| format!("read {}", timestamp.display()))?;
    let mut forged: Value = serde_json::from_slice(&whole).context("the timestamp is JSON")?;
    forged["signed"]["version"] = (version(&second, "timestamp") + 1).into();
    edit::write(&timestamp, &forged.to_string())?;
    reader.refused(&[], "UnsignedMetadataError")?;
    Ok(6)
}

/// Another bit in the middle of a file.
fn flip(path: &Path) -> Result<()> {
    let mut bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // A new file: the old one may be linked elsewhere.
    fs::remove_file(path).with_context(|| format!("remove {}", path.display()))?;
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

/// python-tuf's client with its directory.
struct Reader<'a> {
    view: &'a View,
    python: &'a Path,
    /// Address of the delivery listener.
    base: String,
    dir: PathBuf,
    root: PathBuf,
}

impl Reader<'_> {
    fn run(&self, paths: &[&str]) -> Result<process::Output> {
        let mut command = Command::new(self.python);
        command.arg(script("read_repository.py"));
        command.arg(format!("http://{}/metadata/", self.base)).arg(format!("http://{}/targets/", self.base));
        command.arg(&self.dir).arg(&self.root).args(paths);
        process::run(&command, self.view)
    }

    /// Versions and digests.
    fn read(&self, paths: &[&str]) -> Result<Value> {
        let output = self.run(paths)?.success("python-tuf reads our repository")?;
        serde_json::from_str(&output.stdout).with_context(|| format!("read {:?}", output.stdout))
    }

    fn refused(&self, paths: &[&str], exception: &str) -> Result<()> {
        let output = self.run(paths)?;
        let text = &output.stderr;
        ensure!(
            output.status.code() == Some(REFUSED) && text.starts_with(exception),
            "python-tuf: expected {exception}, found {}: {text}",
            output.status
        );
        Ok(())
    }

    /// What was downloaded is fetched again.
    fn forget_targets(&self) -> Result<()> {
        let dir = self.dir.join("targets");
        fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))
    }
}

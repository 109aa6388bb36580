//! What the tests of the built programs share: a place of their own, copies of the fixture, a server.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bascule_tests::fixture::{self, Stage};
use bascule_tests::fleet::{Repo, Server};
use bascule_tests::process::Lifetime;
use bascule_tests::view::View;
use bascule_tests::workspace;

/// One view for all tests of a program.
pub(crate) fn view() -> &'static View {
    static VIEW: OnceLock<View> = OnceLock::new();
    VIEW.get_or_init(View::new)
}

/// A new empty directory for the test `name`.
pub(crate) fn place(name: &str) -> PathBuf {
    let dir = workspace::target_dir().join("bascule-programs").join(name);
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap();
    }
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// A copy of the fixture: a repository with `base@1` built and signed, nothing published.
pub(crate) fn repo(place: &Path) -> Repo<'static> {
    copy(place, "repo", Stage::Signed)
}

/// The same admin's repository, as it was when `base@1` was built and not yet signed.
pub(crate) fn unsigned(place: &Path) -> Repo<'static> {
    copy(place, "unsigned", Stage::Unsigned)
}

fn copy(place: &Path, name: &str, stage: Stage) -> Repo<'static> {
    let dir = place.join(name);
    fixture::copy_to(&dir, stage).unwrap();
    Repo::at(view(), &dir, &workspace::root().join("images")).unwrap()
}

/// An empty server.
pub(crate) fn server(place: &Path) -> Server {
    Server::start(&place.join("server"), Lifetime::Bound).unwrap()
}

/// A repository that publishes to an empty server.
pub(crate) fn pair(place: &Path) -> (Repo<'static>, Server) {
    let server = server(place);
    let repo = repo(place);
    repo.set_remote(&server).unwrap();
    (repo, server)
}

/// All files below `dir`, sorted, relative to it.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(dir).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Replaces a file by one with other bytes; files linked to it keep theirs.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Asserts that `text` has each of `words`.
#[track_caller]
pub(crate) fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "expected {word:?} in:\n{text}");
    }
}

/// Runs another program, which must be there and succeed.
#[track_caller]
pub(crate) fn tool(program: &str, args: &[&OsStr]) {
    let output =
        Command::new(program).args(args).output().expect("every program of src/packages.rs is there");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {}\n{errors}", output.status);
}

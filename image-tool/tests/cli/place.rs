//! A repository with made-up images, and `imgtool` as a process.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::image::Fake;

/// A repository in a directory of its own.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// An initialised repository.
    pub(crate) fn new() -> Self {
        let place = Self::empty();
        place.ok(&["init", "--single-key"]);
        place
    }

    /// A directory where a repository could be.
    pub(crate) fn empty() -> Self {
        // In memory where there is any: the tests sync a lot, and nothing of it must survive.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.path("repo")
    }

    /// An empty place for a store.
    pub(crate) fn store(&self) -> String {
        self.path("published").display().to_string()
    }

    /// Makes a build, as `imgtool build` leaves it.
    pub(crate) fn build(&self, fake: &Fake) {
        fake.write(&self.repo());
    }

    /// A build that is signed.
    pub(crate) fn signed(&self, fake: &Fake) {
        self.build(fake);
        self.ok(&["sign", &fake.name]);
    }

    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imgtool"));
        command.env_clear().env("BASCULE_REPO", self.repo()).current_dir(self.dir.path()).args(args);
        command
    }

    /// Runs, must succeed, gives standard output.
    pub(crate) fn ok<S: AsRef<OsStr>>(&self, args: &[S]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs with `--json`, must succeed, gives the document.
    pub(crate) fn json<S: AsRef<OsStr>>(&self, args: &[S]) -> serde_json::Value {
        let mut all: Vec<&OsStr> = vec![OsStr::new("--json")];
        all.extend(args.iter().map(AsRef::as_ref));
        let out = self.ok(&all);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// Runs, must fail with status 1, gives standard error.
    pub(crate) fn refused<S: AsRef<OsStr>>(&self, args: &[S]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        String::from_utf8(output.stderr).unwrap()
    }

    /// Runs, must fail as a wrong use of the command line, gives standard error.
    pub(crate) fn misused<S: AsRef<OsStr>>(&self, args: &[S]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        String::from_utf8(output.stderr).unwrap()
    }

    fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        self.command(args).output().unwrap()
    }
}

pub(crate) fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n--- stdout\n{out}\n--- stderr\n{err}", output.status)
}

#[track_caller]
pub(crate) fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "expected {word:?} in:\n{text}");
    }
}

/// Every file below `dir` with its content.
pub(crate) fn snapshot(dir: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut files = std::collections::BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                files.insert(path, bytes);
            }
        }
    }
    files
}

//! The suite's own program: a directory of pytest files.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::extras;
use crate::process;
use crate::view::View;

const URL: &str = "https://github.com/theupdateframework/tuf-conformance";
const COMMIT: &str = "eec841c186f81f2d9d8d30460c7e7deefa615f9e";
/// Tests of this commit. Fewer would mean that some were not found.
const TESTS: u64 = 113;

/// How a person gets the suite: it is not on PyPI.
pub(super) fn how_to_get() -> String {
    format!(
        "cargo conformance needs the public TUF conformance suite, which is not on PyPI. Get it once:\n  \
         git clone {URL} DIR\n  git -C DIR checkout {COMMIT}\nand then run\n  cargo conformance --suite DIR"
    )
}

/// A checked-out suite.
pub(super) struct Suite(PathBuf);

/// What a run gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    total: u64,
    passed: u64,
    /// Failed, as listed.
    expected: u64,
}

impl Counts {
    /// Whether every test of the suite ran, and did what it should.
    pub(super) fn is_expected(self) -> bool {
        self.total == TESTS && self.passed + self.expected == self.total
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { total, passed, expected } = self;
        write!(f, "{passed} of {total} passed")?;
        match (expected, total.saturating_sub(passed + expected)) {
            (0, 0) => Ok(()),
            (_, 0) => write!(f, ", {expected} failed as listed"),
            (_, other) => {
                write!(f, ", {expected} failed as listed, {other} otherwise; {TESTS} tests are expected")
            }
        }
    }
}

impl Suite {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let dir = fs::canonicalize(dir).with_context(|| format!("{}\n{}", dir.display(), how_to_get()))?;
        if !dir.join("tuf_conformance/conftest.py").is_file() {
            bail!("{}: no tuf_conformance/conftest.py in it\n{}", dir.display(), how_to_get());
        }
        Ok(Self(dir))
    }

    /// Runs all tests against `client`.
    pub(super) fn run(&self, view: &View, python: &Path, client: &Path, plugins: &[&str]) -> Result<Counts> {
        let report = client.with_extension("json");
        let mut command = Command::new(python);
        command.args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider"]);
        command.args(plugins.iter().flat_map(|plugin| ["-p", plugin]));
        command.args(["--json-report", "--json-report-file"]).arg(&report);
        command.arg("--entrypoint").arg(client).arg("tuf_conformance");
        command.current_dir(&self.0).env("PYTHONPATH", extras()).env("PYTHONDONTWRITEBYTECODE", "1");
        let output = process::run(&command, view)?;
        // 1: some tests failed, which the counts say better.
        if !matches!(output.status.code(), Some(0 | 1)) {
            output.success("pytest")?;
        }
        let text = fs::read(&report).with_context(|| format!("read {}", report.display()))?;
        let report: Value =
            serde_json::from_slice(&text).with_context(|| format!("read {}", report.display()))?;
        let count = |name: &str| report["summary"][name].as_u64().unwrap_or(0);
        Ok(Counts { total: count("total"), passed: count("passed"), expected: count("xfailed") })
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, TESTS};

    #[test]
    fn every_test_must_run() {
        let counts = |total, passed, expected| Counts { total, passed, expected };
        assert!(counts(TESTS, TESTS, 0).is_expected());
        assert!(counts(TESTS, TESTS - 4, 4).is_expected());
        assert!(!counts(TESTS, TESTS - 4, 3).is_expected());
        assert!(!counts(3, 3, 0).is_expected());
        assert_eq!(counts(113, 109, 4).to_string(), "109 of 113 passed, 4 failed as listed");
    }
}

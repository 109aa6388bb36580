//! `cargo conformance`: the public TUF conformance suite against the client that the agent has.
//!
//! Twice: as the suite is, with the development feature that verifies what it signs with; and with the production features and
//! a suite that signs with Ed25519. `tests/conformance` says what is expected.

mod suite;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use self::suite::Suite;
use crate::view::View;
use crate::{build, packages, python, workspace};

/// Options of `cargo conformance`.
#[derive(Debug, Clone)]
pub struct Options {
    suite: PathBuf,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// Without a suite: how to get it.
    pub fn parse(words: &[&str]) -> Result<Self> {
        match words {
            ["--suite", dir] => Ok(Self { suite: PathBuf::from(dir) }),
            [] => bail!("{}", suite::how_to_get()),
            _ => {
                bail!("cargo conformance: unknown arguments {words:?}\nusage: cargo conformance --suite DIR")
            }
        }
    }
}

/// One run of the suite.
struct Run {
    name: &'static str,
    feature: &'static str,
    /// Plugins of pytest, in `tests/conformance`.
    plugins: &'static [&'static str],
    /// File with the expected failures, in `tests/conformance`.
    expected_failures: Option<&'static str>,
}

const RUNS: [Run; 2] = [
    Run { name: "stock", feature: "conformance", plugins: &[], expected_failures: None },
    Run {
        name: "ed25519",
        feature: "tuf-client",
        plugins: &["sign_with_ed25519"],
        expected_failures: Some("ed25519.xfails"),
    },
];

/// Runs the suite; any result but the expected one is an error.
///
/// # Errors
/// A missing suite or package, a failed test, an expected failure that passed.
pub fn run(view: &View, options: &Options) -> Result<()> {
    let suite = Suite::open(&options.suite)?;
    view.begin("system packages");
    view.done(&packages::ensure_for_conformance(view)?);
    let python = python::environment(view, "conformance", &extras().join("requirements.txt"))?;
    for run in &RUNS {
        view.begin(&format!("TUF conformance suite, {}", run.name));
        let client = client(view, run)?;
        let counts = suite.run(view, &python, &client, run.plugins)?;
        ensure!(counts.is_expected(), "{counts}; the report is {}", client.with_extension("json").display());
        view.done(&counts.to_string());
    }
    Ok(())
}

/// The plugins, requirements and expected failures.
fn extras() -> PathBuf {
    workspace::root().join("tests/conformance")
}

/// Builds the client, and puts it where the suite finds its expected failures beside it.
fn client(view: &View, run: &Run) -> Result<PathBuf> {
    let built = build::tuf_client(view, run.feature)?;
    let dir = workspace::target_dir().join("bascule-conformance").join(run.name);
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    let client = dir.join("tuf-client");
    copy(&built, &client)?;
    if let Some(list) = run.expected_failures {
        copy(&extras().join(list), &dir.join("tuf-client.xfails"))?;
    }
    Ok(client)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).with_context(|| format!("copy {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn without_a_suite_it_says_how_to_get_it() {
        let message = Options::parse(&[]).unwrap_err().to_string();
        assert!(
            message.contains("git clone https://github.com/theupdateframework/tuf-conformance"),
            "{message}"
        );
        assert!(Options::parse(&["--suite", "/x"]).is_ok());
        assert!(Options::parse(&["--siute", "/x"]).is_err());
    }
}

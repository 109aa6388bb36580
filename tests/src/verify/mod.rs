//! `cargo verify`: format, lints, unit and property tests, real programs on the loopback, reproducible builds, and nodes as
//! virtual machines from end to end.
//!
//! A stage that fails does not stop the others, except where they need what it makes. The last line is
//! `N passed, M failed`; a stage without tests of its own counts as one.

mod bad_nodes;
mod cargo_test;
mod end_to_end;
mod interop;
mod reproducible;
mod tools;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::fixture;
use crate::view::{View, seconds};
use crate::{build, packages, toolchain};

/// What a stage achieved.
#[derive(Debug, Clone)]
pub struct Account {
    passed: usize,
    failed: usize,
    text: String,
}

impl Account {
    fn one(text: impl Into<String>) -> Self {
        Self { passed: 1, failed: 0, text: text.into() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Others go on without it.
    Alone,
    /// Nothing goes on without it.
    First,
    /// Needs virtual machines.
    Machines,
}

struct Stage {
    name: &'static str,
    what: &'static str,
    need: Need,
    run: fn(&View) -> Result<Account>,
}

const fn stage(
    name: &'static str,
    what: &'static str,
    need: Need,
    run: fn(&View) -> Result<Account>,
) -> Stage {
    Stage { name, what, need, run }
}

const STAGES: &[Stage] = &[
    stage("packages", "system packages", Need::First, |view| {
        packages::ensure_installed(view).map(Account::one)
    }),
    stage("toolchain", "Rust toolchain", Need::First, |view| {
        toolchain::ensure_complete(view).map(Account::one)
    }),
    stage("format", "cargo fmt --check", Need::Alone, tools::format),
    stage("lints", "cargo clippy, warnings are errors", Need::Alone, tools::lints),
    stage("unit", "unit and property tests", Need::Alone, |view| cargo_test::run(view, &[])),
    stage("build", "programs", Need::First, |view| build::programs(view).map(Account::one)),
    stage("reproducible", "an image built twice is the same image", Need::Alone, reproducible::run),
    stage("programs", "imgtool and imgserver against bad input, kills and full disks", Need::Alone, |view| {
        fixture::require()?;
        cargo_test::run(view, &["-p", "bascule-tests"])
    }),
    stage("kills", "imgtool and imgserver killed at every system call", Need::Alone, |view| {
        cargo_test::run(view, &["-p", "image-tool", "-p", "server", "--test", "syscalls", "--", "--ignored"])
    }),
    stage("interop", "python-tuf reads our repository, we read one of python-tuf", Need::Alone, |view| {
        fixture::require()?;
        interop::run(view)
    }),
    stage("differential", "sigstore-tuf gives the same verdicts", Need::Alone, |view| {
        cargo_test::run(
            view,
            &["-p", "bascule-tests", "--features", "differential", "--test", "differential"],
        )
    }),
    stage("nodes", "nodes against bad disks and a server that goes away", Need::Machines, bad_nodes::run),
    stage("e2e", "the demo, from end to end", Need::Machines, end_to_end::run),
];

/// Options of `cargo verify`.
#[derive(Debug, Clone, Default)]
pub struct Options {
    only: Vec<String>,
    skip_e2e: bool,
}

impl Options {
    /// Reads the command line.
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match (*word, word.strip_prefix("--only=")) {
                ("--skip-e2e", _) => options.skip_e2e = true,
                (_, Some(stage)) => options.only.push(stage.into()),
                ("--only", _) => match words.next() {
                    Some(stage) => options.only.push((*stage).into()),
                    None => bail!("cargo verify: --only needs a stage"),
                },
                (other, _) => bail!("cargo verify: unknown option {other:?}"),
            }
        }
        if let Some(unknown) = options.only.iter().find(|name| STAGES.iter().all(|stage| stage.name != *name))
        {
            let known: Vec<_> =
                STAGES.iter().map(|stage| format!("  {:13} {}", stage.name, stage.what)).collect();
            bail!("cargo verify: no stage {unknown:?}; the stages are\n{}", known.join("\n"));
        }
        Ok(options)
    }

    fn wants(&self, stage: &Stage) -> bool {
        let named = self.only.is_empty() || self.only.iter().any(|name| name == stage.name);
        named && !(self.skip_e2e && stage.need == Need::Machines)
    }
}

/// Runs the stages and prints the sum.
pub fn run(view: &View, options: &Options) -> Result<ExitCode> {
    let (mut passed, mut failed) = (0, 0);
    for stage in STAGES.iter().filter(|stage| options.wants(stage)) {
        view.begin(stage.what);
        let fine = match (stage.run)(view) {
            Ok(account) => {
                passed += account.passed;
                failed += account.failed;
                if account.failed == 0 {
                    view.done(&account.text)
                } else {
                    view.failed(&account.text)
                };
                account.failed == 0
            }
            Err(error) => {
                failed += 1;
                view.all_failed();
                view.note(&format!("{error:#}"));
                false
            }
        };
        if !fine && stage.need == Need::First {
            view.note("nothing else can run without this");
            break;
        }
    }
    view.note(&format!("took {}", seconds(view.elapsed())));
    view.note(&format!("{passed} passed, {failed} failed"));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(words: &[&str]) -> Vec<&'static str> {
        let options = Options::parse(words).unwrap();
        STAGES.iter().filter(|stage| options.wants(stage)).map(|stage| stage.name).collect()
    }

    #[test]
    fn options_choose_stages() {
        assert_eq!(chosen(&[]).len(), STAGES.len());
        assert_eq!(chosen(&["--only", "unit", "--only=lints"]), ["lints", "unit"]);
        assert!(!chosen(&["--skip-e2e"]).contains(&"e2e"));
    }

    #[test]
    fn unknown_words_are_refused() {
        for words in [&["--onyl", "unit"][..], &["--only"], &["--only", "help"]] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
        assert!(Options::parse(&["--only", "help"]).unwrap_err().to_string().contains("reproducible"));
    }
}

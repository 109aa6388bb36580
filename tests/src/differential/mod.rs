//! Same bytes, same verdict: our verifier and `sigstore-tuf`, another implementation of TUF in Rust (feature `differential`).
//!
//! Both are driven as whole clients from the embedded root to the look-up of targets, over the files of a real repository of which
//! one was mutated. Where they disagree, the disagreement must be one of [`differences::ALL`], each with its reason.
//! `tests/differential.rs` does it for some thousand mutations that are the same in every run, and libFuzzer with coverage
//! ([`fuzz`]).

// A property that does not hold is a panic: this is test code.
#![allow(clippy::panic, clippy::unwrap_used)]

pub mod differences;
mod mutate;
mod ours;
mod repository;
mod theirs;

use std::sync::LazyLock;

use signing::{TrustError, Value};

pub use self::mutate::mutation;
pub use self::repository::{Files, Repository, Role};

/// Looked up in this order: of each role, and of nobody.
const PATHS: [&str; 4] = ["floor", "images/ha@1.json", "pins/lab.json", "images/ha@2.json"];

/// What a client made of a repository, step by step; it ends at the first refusal.
type Verdict<E> = Vec<Result<Step, E>>;

/// One step that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The embedded root, with its version.
    Root(u64),
    /// The refresh, with the versions of root, timestamp and snapshot.
    Refresh([u64; 3]),
    /// A target, with its length and SHA-256, or that there is none.
    Target(Option<(u64, String)>),
}

/// How two verdicts compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// Every step was accepted by both, with the same result.
    Accepted,
    /// Both refused at the same step.
    Refused,
    /// They disagree as they are meant to: the name of the difference.
    Meant(&'static str),
    /// They disagree, and nobody knows why.
    Unexplained {
        /// Our step.
        ours: Result<Step, TrustError>,
        /// Theirs.
        theirs: Result<Step, String>,
    },
}

/// Drives both.
pub fn compare(files: &Files) -> Comparison {
    let (ours, theirs) = (ours::verdict(files), theirs::verdict(files));
    let same = |ours: &Result<Step, TrustError>, theirs: &Result<Step, String>| match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => ours == theirs,
        (Err(_), Err(_)) => true,
        _ => false,
    };
    match ours.iter().zip(&theirs).find(|(ours, theirs)| !same(ours, theirs)) {
        None if ours.iter().all(Result::is_ok) => Comparison::Accepted,
        None => Comparison::Refused,
        Some((ours, theirs)) => match differences::explain(files, ours, theirs) {
            Some(name) => Comparison::Meant(name),
            None => Comparison::Unexplained { ours: ours.clone(), theirs: theirs.clone() },
        },
    }
}

/// One run of libFuzzer: the first byte says which file is replaced by the rest, and how: as it is, or, if it is JSON, as content that
/// the owner has signed.
///
/// # Panics
/// The two disagree without a reason.
pub fn fuzz(input: &[u8]) {
    static HONEST: LazyLock<Repository> = LazyLock::new(Repository::new);
    let Some((first, bytes)) = input.split_first() else { return };
    let role = Role::ALL[usize::from(first & 0x7f) % Role::ALL.len()];
    let mut repository = HONEST.clone();
    match signing::parse(bytes, 1 << 20) {
        Ok(content @ Value::Object(_)) if first & 0x80 != 0 => repository.put_signed(role, &content),
        _ => repository.put(role, bytes.to_vec()),
    }
    let comparison = compare(&repository.files());
    assert!(!matches!(comparison, Comparison::Unexplained { .. }), "{role:?}: {comparison:?}");
}

/// Inputs to begin with.
pub fn fuzz_seeds() -> Vec<Vec<u8>> {
    let honest = Repository::new();
    let numbered = (0..).zip(Role::ALL);
    let seeds = numbered.flat_map(|(number, role): (u8, Role)| {
        let signed = serde_json::to_vec(&honest.content(role)).unwrap();
        [[&[number][..], honest.bytes(role)].concat(), [&[number | 0x80][..], &signed].concat()]
    });
    seeds.collect()
}

//! Same bytes, same verdict: our verifier and `sigstore-tuf`, another implementation of TUF in Rust, on thousands of mutations of a
//! real repository's files.
//!
//! Both are driven as whole clients from the embedded root to the look-up of targets. Where they disagree, the disagreement must
//! be one of [`differences`], each with its reason. Deterministic: a failure names the number of its mutation.

#![allow(clippy::panic, clippy::unwrap_used)]

mod differences;
mod mutate;
mod ours;
mod repository;
mod theirs;

use std::collections::BTreeMap;

use repository::{Repository, Role};

/// Mutations for each file.
const ROUNDS: u64 = 700;

/// Looked up in this order: of each role, and of nobody.
const PATHS: [&str; 4] = ["floor", "images/ha@1.json", "pins/lab.json", "images/ha@2.json"];

/// What a client made of a repository, step by step; it ends at the first refusal.
type Verdict<E> = Vec<Result<Step, E>>;

/// One step that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// The embedded root, with its version.
    Root(u64),
    /// The refresh, with the versions of root, timestamp and snapshot.
    Refresh([u64; 3]),
    /// A target, with its length and SHA-256, or that there is none.
    Target(Option<(u64, String)>),
}

#[test]
fn both_accept_what_was_published() {
    let files = Repository::new().files();
    let (ours, theirs) = (ours::verdict(&files), theirs::verdict(&files));
    assert_eq!(ours.len(), 2 + PATHS.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours.as_ref().unwrap(), theirs.as_ref().unwrap());
    }
    assert!(matches!(ours.last(), Some(Ok(Step::Target(None)))));
}

#[test]
fn same_bytes_same_verdict() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unexpected = Vec::new();
    let honest = Repository::new();
    for (role, round) in Role::ALL.into_iter().flat_map(|role| (0..ROUNDS).map(move |round| (role, round))) {
        let (what, files) = mutate::mutation(&honest, role, round);
        let (ours, theirs) = (ours::verdict(&files), theirs::verdict(&files));
        let class = match ours.iter().zip(&theirs).find(|(ours, theirs)| !same(ours, theirs)) {
            None if ours.iter().all(Result::is_ok) => "both accept",
            None => "both refuse",
            Some((ours, theirs)) => match differences::explain(&what, ours, theirs) {
                Some(name) => name,
                None => {
                    unexpected
                        .push(format!("{role:?} {round}: {what}\n  ours:   {ours:?}\n  theirs: {theirs:?}"));
                    "unexplained"
                }
            },
        };
        *counts.entry(class).or_default() += 1;
    }
    for (class, count) in &counts {
        let reason = differences::ALL.iter().find(|difference| difference.name == *class);
        println!(
            "{count:6}  {class}{}",
            reason.map(|found| format!(": {}", found.reason)).unwrap_or_default()
        );
    }
    let shown = unexpected[..unexpected.len().min(12)].join("\n");
    assert!(unexpected.is_empty(), "{} disagreements without a reason:\n{shown}", unexpected.len());
    // The mutations must be worth something: both verdicts, and every reason, must have occurred.
    assert!(counts["both accept"] > 300 && counts["both refuse"] > 1_000, "{counts:?}");
    for difference in differences::ALL {
        assert!(
            counts.contains_key(difference.name),
            "no mutation shows the difference {:?}",
            difference.name
        );
    }
}

fn same<A, B>(ours: &Result<Step, A>, theirs: &Result<Step, B>) -> bool {
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => ours == theirs,
        (Err(_), Err(_)) => true,
        _ => false,
    }
}

//! Our verifier and `sigstore-tuf` on thousands of mutations of a repository's files: see [`bascule_tests::differential`].

#![allow(clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;

use bascule_tests::differential::{
    Comparison, Repository, Role, compare, differences, fuzz, fuzz_seeds, mutation,
};

/// Mutations for each file; `BASCULE_ROUNDS` says another number, for a long run.
const ROUNDS: u64 = 700;

fn rounds() -> u64 {
    std::env::var("BASCULE_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap())
}

#[test]
fn both_accept_what_was_published() {
    assert_eq!(compare(&Repository::new().files()), Comparison::Accepted);
}

#[test]
fn same_bytes_same_verdict() {
    let honest = Repository::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for (role, round) in Role::ALL.into_iter().flat_map(|role| (0..rounds()).map(move |round| (role, round)))
    {
        let (what, files) = mutation(&honest, role, round);
        let class = match compare(&files) {
            Comparison::Accepted => "both accept",
            Comparison::Refused => "both refuse",
            Comparison::Meant(name) => name,
            Comparison::Unexplained { ours, theirs } => {
                unexplained
                    .push(format!("{role:?} {round}: {what}\n  ours:   {ours:?}\n  theirs: {theirs:?}"));
                "unexplained"
            }
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
    let shown = unexplained[..unexplained.len().min(12)].join("\n");
    assert!(unexplained.is_empty(), "{} disagreements without a reason:\n{shown}", unexplained.len());
    // The mutations must be worth something: both verdicts, and every difference, must have occurred.
    assert!(counts["both accept"] > 300 && counts["both refuse"] > 1_000, "{counts:?}");
    for name in
        differences::ALL.iter().map(|difference| difference.name).chain([differences::UNKNOWN_NEIGHBOUR])
    {
        assert!(counts.contains_key(name), "no mutation shows the difference {name:?}");
    }
}

#[test]
fn the_fuzz_target_takes_its_seeds() {
    fuzz(b"");
    for seed in fuzz_seeds() {
        fuzz(&seed);
    }
}

//! Fuzz targets: one function per parser of foreign bytes, which takes bytes and asserts what must hold for any.
//!
//! The same functions are run in two ways: `cargo test` replays the committed corpora and some thousand mutations of them, the
//! same every time ([`mutate`]); `cargo-fuzz/` runs them under libFuzzer with coverage. What libFuzzer finds becomes a file in
//! `corpus/TARGET/`.
//!
//! A target asserts that nothing panics, that what was accepted is within its limits, that what is written of it reads back
//! to the same (and to the same bytes where there is one spelling only), and that a refusal changes nothing.

// A target's word is an assertion.
#![allow(clippy::panic, clippy::unwrap_used)]

pub mod corpus;
pub mod mutate;
pub mod targets;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, that of its corpus directory and of its libFuzzer program.
    pub name: &'static str,
    /// Runs it once; panics when a property does not hold.
    pub run: fn(&[u8]),
    /// Valid inputs, from which the corpus was made.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Mutations in a replay: fewer where one run takes long.
    pub rounds: u32,
}

/// The target of this name.
///
/// # Panics
/// There is none.
pub fn target(name: &str) -> Target {
    let known = targets::ALL.iter().find(|target| target.name == name);
    *known.unwrap_or_else(|| panic!("no fuzz target {name}"))
}

/// Runs a target once.
///
/// # Panics
/// A property does not hold, or there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    (target(name).run)(bytes);
}

/// Replays a target: its corpus, then mutations of it.
///
/// # Panics
/// A property does not hold, or the corpus is not there.
pub fn replay(name: &str) {
    let target = target(name);
    let corpus = corpus::read(name);
    assert!(!corpus.is_empty(), "corpus/{name} has no files");
    for input in &corpus {
        (target.run)(input);
    }
    let mut mutations = mutate::Mutations::new(name, &corpus);
    for _ in 0..target.rounds {
        (target.run)(mutations.next_input());
    }
}

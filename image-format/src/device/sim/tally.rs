//! The count of crash states and of those that break a rule.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Violations that are told in full.
const SHOWN: usize = 12;

/// Judges crash states one by one and says how it went.
#[derive(Debug)]
pub struct Tally {
    what: String,
    states: u64,
    violations: Vec<String>,
}

impl Tally {
    /// Nothing counted yet. `what` goes before the numbers.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), states: 0, violations: Vec::new() }
    }

    /// Counts one state. An error is a violation, and so is a panic.
    pub fn check<E: Display>(&mut self, place: impl Display, judge: impl FnOnce() -> Result<(), E>) {
        self.states += 1;
        let verdict = catch_unwind(AssertUnwindSafe(judge));
        let why = match verdict {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("{error:#}"),
            Err(panic) => match panic.downcast_ref::<String>() {
                Some(text) => format!("panic: {text}"),
                None => format!("panic: {}", panic.downcast_ref::<&str>().unwrap_or(&"without a word")),
            },
        };
        self.violations.push(format!("{place}: {why}"));
    }

    /// States counted.
    pub const fn states(&self) -> u64 {
        self.states
    }

    /// Adds another count, of the same kind.
    pub fn add(&mut self, other: Self) {
        self.states += other.states;
        self.violations.extend(other.violations);
    }

    /// Prints the count.
    ///
    /// # Panics
    /// On a violation, with the first ones.
    #[expect(clippy::panic, reason = "the verdict of a test")]
    pub fn finish(self) {
        let Self { what, states, violations } = self;
        println!("{what}: {states} crash states, {} violations", violations.len());
        let shown = violations.iter().take(SHOWN).map(|text| format!("\n  {text}")).collect::<String>();
        if !violations.is_empty() {
            panic!("{what}: {} of {states} crash states break a rule:{shown}", violations.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_panics_are_violations() {
        let mut tally = Tally::new("made up");
        tally.check(1, || Ok::<_, String>(()));
        tally.check(2, || Err("wrong"));
        tally.check(3, || -> Result<(), String> { panic!("worse") });
        assert_eq!(tally.violations, ["2: wrong", "3: panic: worse"]);
        let mut whole = Tally::new("whole");
        whole.check(0, || Ok::<_, String>(()));
        whole.add(tally);
        assert_eq!(whole.states(), 4);
        let panic = catch_unwind(AssertUnwindSafe(|| whole.finish())).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert_eq!(text, "whole: 2 of 4 crash states break a rule:\n  2: wrong\n  3: panic: worse");
    }
}

//! `cargo test`, its results counted.

use anyhow::{Result, bail};

use super::Account;
use crate::view::View;
use crate::{process, workspace};

/// Runs `cargo test` with these arguments; failing tests are shown and counted.
pub(super) fn run(view: &View, arguments: &[&str]) -> Result<Account> {
    let mut command = workspace::cargo();
    command.args(["test", "--no-fail-fast"]).args(arguments).env("RUST_BACKTRACE", "0");
    let output = process::run(&command, view)?;
    let (passed, failed) = count(&output.stdout);
    if !output.status.success() {
        view.note(&output.stdout);
        if failed == 0 {
            // It did not compile, or a test program died.
            output.success("cargo test")?;
            bail!("cargo test failed without a failed test");
        }
    }
    Ok(Account { passed, failed, text: format!("{passed} passed, {failed} failed") })
}

/// Sums `test result: ok. 12 passed; 0 failed; …` lines.
fn count(text: &str) -> (usize, usize) {
    let mut sum = (0, 0);
    for line in text.lines().filter_map(|line| line.strip_prefix("test result: ")) {
        let number = |what: &str| {
            let before = line.split(what).next()?;
            before.trim_end().rsplit(' ').next()?.parse::<usize>().ok()
        };
        sum.0 += number(" passed").unwrap_or(0);
        sum.1 += number(" failed").unwrap_or(0);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed() {
        let text = "test a ... ok\n\ntest result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
                    test result: FAILED. 3 passed; 2 failed; 0 ignored\n";
        assert_eq!(count(text), (15, 2));
        assert_eq!(count("error: could not compile"), (0, 0));
    }
}

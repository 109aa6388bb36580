//! Format and lints.

use anyhow::Result;

use super::Account;
use crate::build::cargo;
use crate::view::View;

/// What no plain build has: the client and the tests for other implementations, and key types of theirs.
const OTHER_IMPLEMENTATIONS: [&str; 12] = [
    "clippy",
    "--quiet",
    "--all-targets",
    "--package",
    "signing",
    "--package",
    "bascule-tests",
    "--features",
    "bascule-tests/conformance,bascule-tests/differential",
    "--",
    "-D",
    "warnings",
];

pub(super) fn format(view: &View) -> Result<Account> {
    cargo(view, &["fmt", "--all", "--check"])?;
    Ok(Account::one(""))
}

pub(super) fn lints(view: &View) -> Result<Account> {
    cargo(view, &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    cargo(view, &OTHER_IMPLEMENTATIONS)?;
    Ok(Account::one(""))
}

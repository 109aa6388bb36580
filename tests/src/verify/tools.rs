//! Format and lints.

use anyhow::Result;

use super::Account;
use crate::build::cargo;
use crate::view::View;

pub(super) fn format(view: &View) -> Result<Account> {
    cargo(view, &["fmt", "--all", "--check"])?;
    Ok(Account::one(""))
}

pub(super) fn lints(view: &View) -> Result<Account> {
    cargo(view, &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    // What no plain build has: the client and the tests for other implementations, and key types of theirs.
    let special = [
        "-p",
        "signing",
        "-p",
        "bascule-tests",
        "--features",
        "bascule-tests/conformance,bascule-tests/differential",
    ];
    let mut arguments = vec!["clippy", "--quiet", "--all-targets"];
    arguments.extend(special);
    arguments.extend(["--", "-D", "warnings"]);
    cargo(view, &arguments)?;
    Ok(Account::one(""))
}

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
    Ok(Account::one(""))
}

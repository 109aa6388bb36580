//! The demo as a test.

use anyhow::Result;

use super::Account;
use crate::demo;
use crate::demo::world::World;
use crate::process::Lifetime;
use crate::view::View;
use crate::vm::freeze;
use crate::workspace;

pub(super) fn run(view: &View) -> Result<Account> {
    let dir = workspace::target_dir().join("bascule-e2e");
    let mut world = World::make(view, &dir, Lifetime::Bound)?;
    let passed = demo::stages(&mut world)?;
    view.note(&format!("Measured\n{}", world.report.table()));
    Ok(Account {
        passed,
        failed: 0,
        text: format!("{passed} stages{}; console in {}", freeze::text(), world.console_log().display()),
    })
}

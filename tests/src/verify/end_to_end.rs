//! The demo as a test.

use anyhow::{Result, bail};

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
    no_complaints(&world)?;
    view.note(&format!("Measured\n{}", world.report.table()));
    Ok(Account {
        passed,
        failed: 0,
        text: format!("{passed} stages{}; console in {}", freeze::text(), world.console_log().display()),
    })
}

/// What a kernel says when a file system or a disk is not as it should be.
const COMPLAINTS: &[&str] = &["erofs_read_inode", "EXT4-fs error", "I/O error", "data block", "overlayfs: "];

/// A node can run and pass its checks on a file system that the kernel complains about.
fn no_complaints(world: &World<'_>) -> Result<()> {
    let console = world.console()?;
    for line in console.lines(console.start()) {
        if COMPLAINTS.iter().any(|complaint| line.text.contains(complaint)) {
            bail!("the kernel of the node complains: {}", line.text);
        }
    }
    Ok(())
}

//! Changes of the boot record: each is durable before anything follows from it.

use anyhow::Context as _;
use image_format::record::Record;
use image_format::state::{BootState, IllegalTransition};

use super::session::Session;
use crate::disk::update;

/// Applies a transition and saves it before anything follows from it.
pub(super) fn change(
    session: &mut Session<'_>,
    transition: impl FnOnce(&mut BootState) -> Result<(), IllegalTransition>,
) -> anyhow::Result<()> {
    remember(session, |record| transition(&mut record.state))
}

/// Changes the record and saves it.
pub(super) fn remember(
    session: &mut Session<'_>,
    change: impl FnOnce(&mut Record) -> Result<(), IllegalTransition>,
) -> anyhow::Result<()> {
    let disk = session.disk.as_ref().context("no disk to remember anything on")?;
    Ok(update::save(disk, &mut session.record, change)?)
}

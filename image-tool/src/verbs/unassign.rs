//! `imgtool unassign`.

use crate::cli::Context;

/// Unassign
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool unassign: not built in yet")
}

//! `imgtool assign`.

use crate::cli::Context;

/// Assign
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool assign: not built in yet")
}

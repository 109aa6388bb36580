//! `imgtool inspect`.

use crate::cli::Context;

/// Inspect
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool inspect: not built in yet")
}

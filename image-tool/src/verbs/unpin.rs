//! `imgtool unpin`.

use crate::cli::Context;

/// Unpin
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool unpin: not built in yet")
}

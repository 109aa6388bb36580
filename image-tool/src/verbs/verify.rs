//! `imgtool verify`.

use crate::cli::Context;

/// Verify
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool verify: not built in yet")
}

//! `imgtool pin`.

use crate::cli::Context;

/// Pin
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool pin: not built in yet")
}

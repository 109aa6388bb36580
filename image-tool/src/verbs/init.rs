//! `imgtool init`.

use crate::cli::Context;

/// Init
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool init: not built in yet")
}

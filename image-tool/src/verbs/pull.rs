//! `imgtool pull`.

use crate::cli::Context;

/// Pull
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool pull: not built in yet")
}

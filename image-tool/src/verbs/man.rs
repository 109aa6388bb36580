//! `imgtool man`.

use crate::cli::Context;

/// Man
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool man: not built in yet")
}

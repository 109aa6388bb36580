//! `imgtool list`.

use crate::cli::Context;

/// List
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool list: not built in yet")
}

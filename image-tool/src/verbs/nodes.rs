//! `imgtool nodes`.

use crate::cli::Context;

/// Nodes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool nodes: not built in yet")
}

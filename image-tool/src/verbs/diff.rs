//! `imgtool diff`.

use crate::cli::Context;

/// Diff
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool diff: not built in yet")
}

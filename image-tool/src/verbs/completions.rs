//! `imgtool completions`.

use crate::cli::Context;

/// Completions
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool completions: not built in yet")
}

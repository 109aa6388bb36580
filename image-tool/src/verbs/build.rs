//! `imgtool build`.

use crate::cli::Context;

/// Build
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool build: not built in yet")
}

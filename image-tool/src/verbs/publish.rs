//! `imgtool publish`.

use crate::cli::Context;

/// Publish
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool publish: not built in yet")
}

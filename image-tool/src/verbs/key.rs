//! `imgtool key`.

use crate::cli::Context;

/// Key
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool key: not built in yet")
}

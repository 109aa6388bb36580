//! `imgtool sign`.

use crate::cli::Context;

/// Sign
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("imgtool sign: not built in yet")
}

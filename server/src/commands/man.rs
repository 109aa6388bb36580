//! `imgserver man`.

use clap::CommandFactory;

use crate::cli::Cli;

/// Writes the manual page.
///
/// # Errors
/// Standard output is closed.
pub fn run() -> anyhow::Result<()> {
    clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?;
    Ok(())
}

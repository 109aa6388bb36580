//! `imgserver token`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::token::TokenFile;

/// Arguments of `token`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the token.
    Show(Data),
    /// Replace the token, and print the new one. A running server takes it at once; the old one ends.
    New(Data),
}

#[derive(Debug, clap::Args)]
struct Data {
    /// The data directory.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// Shows or replaces the token.
///
/// # Errors
/// As [`TokenFile`].
pub fn run(args: &Args) -> anyhow::Result<()> {
    let token = match &args.action {
        Action::Show(Data { data }) => TokenFile::of(data).read()?,
        Action::New(Data { data }) => TokenFile::of(data).renew()?,
    };
    std::io::Write::write_all(&mut std::io::stdout(), format!("{token}\n").as_bytes())?;
    Ok(())
}

//! `imgtool releases`: images signed in steps.

mod prepare;

use crate::ceremony::{self, Ceremony};
use crate::context::Context;

const EXAMPLES: &str = "\
Examples:
  imgtool releases prepare ha@2 -o ha2.json
  imgtool releases sign ha2.json --root root.json --key releases-2.pem
  imgtool releases commit ha2.json && imgtool publish ha@2";

/// Sign images in steps, on several machines; with all keys here, `imgtool sign` does it at once
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Prepare(prepare::Args),
    Show(ceremony::show::Args),
    Sign(ceremony::sign::Args),
    Commit(ceremony::commit::LocalArgs),
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    match &args.command {
        Command::Prepare(args) => prepare::run(args, context),
        Command::Show(args) => ceremony::show::run(Ceremony::Releases, args, context),
        Command::Sign(args) => ceremony::sign::run(Ceremony::Releases, args, context),
        Command::Commit(args) => ceremony::commit::run_locally(Ceremony::Releases, args, context),
    }
}

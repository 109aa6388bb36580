//! `imgtool pins`: pins and assignments signed in steps.

mod prepare;

use crate::ceremony::{self, Ceremony};
use crate::context::Context;

const EXAMPLES: &str = "\
Examples:
  imgtool pins prepare set cluster ha@2 -o pin.json
  imgtool pins sign pin.json --root root.json --ssh-agent
  imgtool pins commit pin.json";

/// Sign pins and assignments in steps, on several machines; with all keys here, `imgtool pin` and `imgtool assign` do it at once
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
    Commit(ceremony::commit::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    match &args.command {
        Command::Prepare(args) => prepare::run(args, context),
        Command::Show(args) => ceremony::show::run(Ceremony::Pins, args, context),
        Command::Sign(args) => ceremony::sign::run(Ceremony::Pins, args, context),
        Command::Commit(args) => ceremony::commit::run(Ceremony::Pins, args, context),
    }
}

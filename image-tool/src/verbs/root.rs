//! `imgtool root`: who may sign what, changed in steps.

mod prepare;

use crate::ceremony::{self, Ceremony};
use crate::context::Context;

const EXAMPLES: &str = "\
Examples:
  imgtool root prepare --add-key root=new.pub --remove-key root=root-2 -o change.json
  imgtool root sign change.json                               here, with the keys of this repository
  imgtool root sign change.json --root root.json --key root-3.pem      on a machine that has only a key
  imgtool root commit change.json";

/// Change who may sign what: rotate, add, revoke keys, in steps on several machines
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
        Command::Show(args) => ceremony::show::run(Ceremony::Root, args, context),
        Command::Sign(args) => ceremony::sign::run(Ceremony::Root, args, context),
        Command::Commit(args) => ceremony::commit::run(Ceremony::Root, args, context),
    }
}

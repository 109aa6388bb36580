//! `imgtool trust`: the state of trust.

mod status;

use crate::context::Context;

/// Look at who may sign what, and until when it holds
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Status(status::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    match &args.command {
        Command::Status(args) => status::run(args, context),
    }
}

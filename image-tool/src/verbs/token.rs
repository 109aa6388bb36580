//! `imgtool token`: join tokens for new nodes.

mod list;
mod new;
mod revoke;

use crate::context::Context;

/// Make, list and revoke join tokens: a node that comes with one is approved without anybody looking
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    New(new::Args),
    List(list::Args),
    Revoke(revoke::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    match &args.command {
        Command::New(args) => new::run(args, context),
        Command::List(args) => list::run(args, context),
        Command::Revoke(args) => revoke::run(args, context),
    }
}

//! `imgtool node`: the keys that nodes sign their reports with.

mod approve;
mod forget;
mod revoke;
mod show;

use crate::context::Context;

/// Approve, revoke and look at the keys of nodes
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Approve(approve::Args),
    Revoke(revoke::Args),
    Show(show::Args),
    Forget(forget::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    match &args.command {
        Command::Approve(args) => approve::run(args, context),
        Command::Revoke(args) => revoke::run(args, context),
        Command::Show(args) => show::run(args, context),
        Command::Forget(args) => forget::run(args, context),
    }
}

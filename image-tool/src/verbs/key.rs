//! `imgtool key`: the keys that sign for a role.

mod import;
mod list;
mod new;
mod show;

use crate::context::Context;

/// Make, show and import signing keys
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    New(new::Args),
    Show(show::Args),
    Import(import::Args),
    List(list::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    match &args.command {
        Command::New(args) => new::run(args, context),
        Command::Show(args) => show::run(args, context),
        Command::Import(args) => import::run(args, context),
        Command::List(args) => list::run(args, context),
    }
}

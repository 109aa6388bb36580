//! One file a verb: `Args` and `run`.

pub(crate) mod assign;
pub(crate) mod build;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod nodes;
pub(crate) mod pin;
pub(crate) mod publish;
pub(crate) mod pull;
pub(crate) mod renew;
pub(crate) mod sign;
pub(crate) mod unassign;
pub(crate) mod unpin;
pub(crate) mod verify;

use crate::cli::{Command, Context};

/// Runs the verb.
pub(crate) fn run(command: &Command, context: &Context) -> anyhow::Result<()> {
    match command {
        Command::Init(args) => init::run(args, context),
        Command::Build(args) => build::run(args, context),
        Command::Sign(args) => sign::run(args, context),
        Command::Publish(args) => publish::run(args, context),
        Command::Pull(args) => pull::run(args, context),
        Command::Pin(args) => pin::run(args, context),
        Command::Unpin(args) => unpin::run(args, context),
        Command::Assign(args) => assign::run(args, context),
        Command::Unassign(args) => unassign::run(args, context),
        Command::Renew(args) => renew::run(args, context),
        Command::List(args) => list::run(args, context),
        Command::Inspect(args) => inspect::run(args, context),
        Command::Diff(args) => diff::run(args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Nodes(args) => nodes::run(args, context),
        Command::Key(args) => key::run(args, context),
        Command::Completions(args) => completions::run(args, context),
        Command::Man(args) => man::run(args, context),
    }
}

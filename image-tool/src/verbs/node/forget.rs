//! `imgtool node forget`: the server drops what it knows.

use image_format::NodeId;
use serde::Serialize;

use crate::context::Context;
use crate::destination::To;
use crate::node::node_id;

const EXAMPLES: &str = "\
Examples:
  imgtool node forget 52-54-00-12-34-56

For a machine that is gone, or whose disk has moved to another one. A node that is still there comes back as a new one. Revoked
keys stay revoked, and signed assignments are not changed (`imgtool unassign`).";

/// Forget a node: its reports, its events and its key
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The node
    #[arg(value_parser = node_id)]
    node: NodeId,

    #[command(flatten)]
    to: To,
}

#[derive(Debug, Serialize)]
struct Forgotten<'a> {
    node: &'a NodeId,
    forgotten: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    args.to.server_of(context)?.forget(&args.node)?;
    let forgotten = Forgotten { node: &args.node, forgotten: true };
    context.ui.show(&forgotten, |forgotten| format!("{} is forgotten\n", forgotten.node))
}

//! `imgtool node show`: all about one node.

use image_format::NodeId;

use crate::clock;
use crate::context::Context;
use crate::destination::To;
use crate::node::{detail, node_id};

const EXAMPLES: &str = "\
Examples:
  imgtool node show 52-54-00-12-34-56
  imgtool node show 52-54-00-12-34-56 --json | jq -r '.enrolment.pending[].key'";

/// Show a node with its keys, what was refused, its slots and its latest events
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The node
    #[arg(value_parser = node_id)]
    node: NodeId,

    #[command(flatten)]
    to: To,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let now = clock::now()?;
    let node = args.to.server_of(context)?.node(&args.node)?;
    context.ui.show(&node, |node| detail(node, now))
}

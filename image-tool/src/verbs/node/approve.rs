//! `imgtool node approve`: this key is this node's.

use fleet_protocol::node::Approve;
use image_format::NodeId;

use crate::context::Context;
use crate::destination::To;
use crate::node::{decided, node_id};

const EXAMPLES: &str = "\
Examples:
  imgtool node approve 52-54-00-12-34-56
  imgtool node approve 52-54-00-12-34-56 --key 3f1c9a02

Compare the key with what the node itself shows: `imgagent identity` on it. From the approval on, only reports that this key
signs count for the node. Approving the same key again clears the mark of a key that was used twice.";

/// Approve the key of a node: from then on only what it signs counts
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The node
    #[arg(value_parser = node_id)]
    node: NodeId,

    /// The key, or its first digits (at least 8); needed when more than one waits
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    #[command(flatten)]
    to: To,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let server = args.to.server_of(context)?;
    let node = server.approve(&args.node, &Approve { key: args.key.clone() })?;
    context.ui.show(&node, decided)
}

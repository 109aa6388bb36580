//! `imgtool nodes`: what the server knows about the nodes.

use image_format::NodeId;

use crate::clock;
use crate::context::Context;
use crate::destination::To;
use crate::node::{detail, node_id, table};

const EXAMPLES: &str = "\
Examples:
  imgtool nodes
  imgtool nodes 52-54-00-12-34-56
  imgtool nodes --json | jq -r '.[] | select(.report.health != \"healthy\") | .node'
  imgtool nodes --json | jq -r '.[] | select(.enrolment.state == \"pending\") | .node'";

/// Show the nodes that the server knows: group, slot, image, health, key, last sign of life
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Show one node with its slots, its keys and its latest events
    #[arg(value_parser = node_id)]
    node: Option<NodeId>,

    #[command(flatten)]
    to: To,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let server = args.to.server_of(context)?;
    let now = clock::now()?;
    match &args.node {
        Some(node) => context.ui.show(&server.node(node)?, |node| detail(node, now)),
        None => context.ui.show(&server.nodes()?, |nodes| table(nodes, now)),
    }
}

//! `imgtool node revoke`: this key never counts again.

use fleet_protocol::node::Revoke;
use image_format::NodeId;

use crate::context::Context;
use crate::destination::To;
use crate::node::{decided, node_id};

const EXAMPLES: &str = "\
Examples:
  imgtool node revoke 52-54-00-12-34-56 --reason 'disk was stolen'
  imgtool node revoke 52-54-00-12-34-56 --key 3f1c9a02 --reason 'unknown machine'

A revoked key stays revoked, whatever node shows it. The node itself goes on: `imgagent identity --new` on it makes a new key,
which waits for approval.";

/// Revoke the keys of a node, or one of them, for ever
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The node
    #[arg(value_parser = node_id)]
    node: NodeId,

    /// The key, or its first digits (at least 8) [default: every key of the node]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// Why, for those who come later
    #[arg(long, value_name = "TEXT", default_value = "no reason given")]
    reason: String,

    #[command(flatten)]
    to: To,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let server = args.to.server_of(context)?;
    let revoke = Revoke { key: args.key.clone(), reason: args.reason.clone() };
    context.ui.show(&server.revoke(&args.node, &revoke)?, decided)
}

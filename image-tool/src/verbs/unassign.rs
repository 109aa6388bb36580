//! `imgtool unassign`: a node, or the default, loses its group.

use anyhow::bail;
use image_format::repository::TargetKind;
use image_format::{Group, NodeId};
use serde::Serialize;

use crate::change::{Change, Push};
use crate::context::Context;
use crate::node::node_id;
use crate::similar::hint;
use crate::ui::style::{dim, strong};

const EXAMPLES: &str = "\
Examples:
  imgtool unassign 52-54-00-12-34-56
  imgtool unassign --default";

/// Take a node out of its group; it then follows the default, if there is one
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The node
    #[arg(required_unless_present = "default", conflicts_with = "default", value_parser = node_id)]
    node: Option<NodeId>,

    /// Nodes that are not assigned by name get nothing any more
    #[arg(long)]
    default: bool,

    #[command(flatten)]
    push: Push,
}

#[derive(Debug, Serialize)]
struct Report {
    node: Option<NodeId>,
    previous: Group,
    /// The group that it follows now.
    group: Option<Group>,
    published: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let change = Change::local(context)?;
    let mut assignments = change.view.assignments.clone();
    let previous = match &args.node {
        Some(node) => assignments.nodes.remove(node),
        None => assignments.default.take(),
    };
    let Some(previous) = previous else {
        let Some(node) = &args.node else { bail!("there is no default group") };
        bail!(
            "node {node} is not assigned by name{}",
            hint(node.as_str(), assignments.nodes.keys().map(ToString::to_string))
        );
    };
    let mut change = change.towards(&args.push)?;
    change.set(TargetKind::Assignments, assignments.to_bytes()?)?;
    let done = change.finish()?;
    let report = Report {
        node: args.node.clone(),
        previous,
        group: args.node.as_ref().and(assignments.default),
        published: done.destination.clone(),
    };
    context.ui.show(&report, |report| {
        let who = report.node.as_ref().map_or_else(|| "Every other node".to_owned(), ToString::to_string);
        let now = report
            .group
            .as_ref()
            .map_or_else(|| "no group".to_owned(), |group| format!("the default group {group}"));
        let before = dim(format!("(was in {})", report.previous));
        format!("{} is in {now} {before}; {}\n", strong(who), done.text())
    })
}

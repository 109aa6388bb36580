//! `imgtool assign`: which group a node belongs to.

use image_format::repository::TargetKind;
use image_format::{Group, NodeId};
use serde::Serialize;

use crate::change::{Change, Push};
use crate::context::Context;
use crate::node::node_id;
use crate::ui::style::{dim, strong};

const EXAMPLES: &str = "\
Examples:
  imgtool assign 52-54-00-12-34-56 cluster
  imgtool assign 52:54:00:12:34:56 cluster        the same node
  imgtool assign --default cluster                every node that is not assigned by name";

/// Sign which group a node belongs to, and publish that at once
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "imgtool assign [OPTIONS] NODE GROUP\n       imgtool assign [OPTIONS] --default GROUP")]
pub(crate) struct Args {
    /// The node: the MAC address that it boots from
    #[arg(required_unless_present = "default", conflicts_with = "default", value_parser = node_id)]
    node: Option<NodeId>,

    /// Its group
    #[arg(required_unless_present = "default")]
    group: Option<Group>,

    /// Put all nodes that are not assigned by name into GROUP
    #[arg(long, value_name = "GROUP")]
    default: Option<Group>,

    #[command(flatten)]
    push: Push,
}

#[derive(Debug, Serialize)]
struct Report {
    /// None: the default for all nodes that are not listed.
    node: Option<NodeId>,
    group: Group,
    previous: Option<Group>,
    changed: bool,
    published: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let mut change = Change::pushed(context, &args.push)?;
    let mut assignments = change.view.assignments.clone();
    let (group, previous) = match (&args.node, &args.group, &args.default) {
        (Some(node), Some(group), _) => (group, assignments.nodes.insert(node.clone(), group.clone())),
        (_, _, Some(group)) => (group, assignments.default.replace(group.clone())),
        _ => anyhow::bail!("expected a node and a group, or --default GROUP"),
    };
    let changed = previous.as_ref() != Some(group);
    if changed {
        change.set(TargetKind::Assignments, assignments.to_bytes()?)?;
    }
    if !change.view.pins.contains_key(group) {
        context.ui.warn(&format!("group {group} has no pin yet{}", change.group_hint(group)));
    }
    let done = change.finish()?;
    let report = Report {
        node: args.node.clone(),
        group: group.clone(),
        previous,
        changed,
        published: done.destination.clone(),
    };
    context.ui.show(&report, |report| {
        let who = report.node.as_ref().map_or_else(|| "Every other node".to_owned(), ToString::to_string);
        let before = match &report.previous {
            _ if !report.changed => " already".to_owned(),
            Some(before) => format!(" {}", dim(format!("(was in {before})"))),
            None => String::new(),
        };
        format!("{} is in group {}{before}; {}\n", strong(who), strong(&report.group), done.text())
    })
}

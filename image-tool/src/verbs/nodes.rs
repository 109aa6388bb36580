//! `imgtool nodes`: what the server knows about the nodes.

use anyhow::bail;
use fleet_protocol::report::{Event, Health, SlotStateName};
use fleet_protocol::{NodeView, Report};
use image_format::NodeId;
use signing::UnixTime;

use crate::clock;
use crate::context::Context;
use crate::date::ago;
use crate::destination::To;
use crate::node::node_id;
use crate::repo::Repo;
use crate::ui::size::bytes;
use crate::ui::style::{bad, dim, good, strong, warn};
use crate::ui::table::{Table, properties};

const EXAMPLES: &str = "\
Examples:
  imgtool nodes
  imgtool nodes 52-54-00-12-34-56
  imgtool nodes --json | jq -r '.[] | select(.report.health != \"healthy\") | .node'";

/// Show the nodes that the server knows: group, slot, image, health, last sign of life
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Show one node with its slots and its latest events
    #[arg(value_parser = node_id)]
    node: Option<NodeId>,

    #[command(flatten)]
    to: To,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    // Who only looks needs no repository, if the server is named.
    let repo = Repo::open(&context.repo);
    let server = match &repo {
        Err(error) if !args.to.is_named() => bail!("{error:#}; or name a server with --to URL"),
        repo => args.to.server(repo.as_ref().ok())?,
    };
    let now = clock::now()?;
    match &args.node {
        Some(node) => context.ui.show(&server.node(node)?, |node| detail(node, now)),
        None => context.ui.show(&server.nodes()?, |nodes| table(nodes, now)),
    }
}

/// Text from a node: nothing in it may steer the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn table(nodes: &[NodeView], now: UnixTime) -> String {
    if nodes.is_empty() {
        return "No node has shown up yet.\n".to_owned();
    }
    let mut table =
        Table::new(["NODE", "GROUP", "PINNED", "RUNS", "SLOT", "HEALTH", "LAST SEEN", "LAST EVENT"]);
    for node in nodes {
        let report = node.report.as_ref();
        let image = report.and_then(|report| report.image.as_ref());
        let runs = match (image, &node.pinned) {
            (Some(image), Some(pinned)) if image != pinned => warn(image),
            (Some(image), _) => image.to_string(),
            (None, _) => dim("-"),
        };
        let text = |text: Option<String>| text.unwrap_or_else(|| dim("-"));
        table.row([
            strong(&node.node),
            text(node.group.as_ref().map(ToString::to_string)),
            text(node.pinned.as_ref().map(ToString::to_string)),
            runs,
            text(report.and_then(|report| report.slot).map(|slot| slot.to_string())),
            report.map_or_else(|| dim("-"), health),
            ago(&node.last_seen, now),
            report.map_or_else(|| dim("boot request"), |report| plain(&report.message)),
        ]);
    }
    table.render()
}

fn health(report: &Report) -> String {
    let attempt = report.attempt.map(|attempt| format!(" (attempt {attempt})")).unwrap_or_default();
    match (report.health, report.event) {
        (_, Event::RolledBack | Event::Failed) => bad("failed"),
        (Health::Healthy, _) => good("healthy"),
        (Health::Unhealthy, _) => bad(format!("unhealthy{attempt}")),
        (Health::Pending, _) => warn(format!("pending{attempt}")),
        (Health::Unknown, _) => dim("?"),
    }
}

fn detail(node: &NodeView, now: UnixTime) -> String {
    let name = |name: Option<String>| name.unwrap_or_else(|| dim("none"));
    let mut pairs = vec![
        ("group", name(node.group.as_ref().map(ToString::to_string))),
        ("pinned to", name(node.pinned.as_ref().map(ToString::to_string))),
        ("last seen", format!("{} ({})", ago(&node.last_seen, now), plain(&node.last_seen))),
    ];
    if let Some(report) = &node.report {
        let slot = report.slot.map(|slot| format!(" in slot {slot}")).unwrap_or_default();
        let image = name(report.image.as_ref().map(ToString::to_string));
        pairs.push(("runs", format!("{image}{slot}")));
        pairs.push(("health", health(report)));
        pairs.push(("says", plain(&report.message)));
        pairs.push(("kernel", format!("{}, agent {}", plain(&report.kernel), plain(&report.agent))));
        pairs.extend(
            report
                .fetched_bytes
                .map(|fetched| ("last fetched", format!("{} ({fetched} bytes)", bytes(fetched)))),
        );
    }
    let mut text = format!("{}\n{}", strong(&node.node), properties(&pairs));
    if let Some(report) = &node.report {
        for slot in &report.slots {
            let image = name(slot.image.as_ref().map(ToString::to_string));
            text +=
                &format!("  {} {}  {image}\n", dim(format!("slot {}", slot.slot)), slot_state(slot.state));
        }
        for image in &report.quarantine {
            text += &format!("  {} {}: {}\n", bad("quarantined"), image.image, plain(&image.reason));
        }
    }
    for (key, value) in &node.identity {
        text += &format!("  {} {}\n", dim(plain(key)), plain(value));
    }
    if !node.events.is_empty() {
        let mut events = Table::new(["WHEN", "EVENT", "WHAT"]);
        for event in &node.events {
            events.row([ago(&event.time, now), plain(&event.event), plain(&event.message)]);
        }
        text += &format!("\n{}", events.render());
    }
    text
}

fn slot_state(state: SlotStateName) -> String {
    match state {
        SlotStateName::Empty => dim("empty"),
        SlotStateName::Writing => warn("writing"),
        SlotStateName::Trial => warn("trial"),
        SlotStateName::Confirmed => good("confirmed"),
        SlotStateName::Bad => bad("bad"),
        SlotStateName::Unknown => dim("?"),
    }
}

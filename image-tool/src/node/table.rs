//! Many nodes, a line each.

use fleet_protocol::report::{Event, Health};
use fleet_protocol::{NodeView, Report};
use signing::UnixTime;

use super::keys::key_state;
use super::plain;
use crate::date::ago;
use crate::ui::style::{bad, dim, good, strong, warn};
use crate::ui::table::Table;

/// The list.
pub(crate) fn table(nodes: &[NodeView], now: UnixTime) -> String {
    if nodes.is_empty() {
        return "No node has shown up yet.\n".to_owned();
    }
    let mut table =
        Table::new(["NODE", "GROUP", "PINNED", "RUNS", "SLOT", "HEALTH", "KEY", "LAST SEEN", "LAST EVENT"]);
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
            key_state(&node.enrolment),
            ago(&node.last_seen, now),
            report.map_or_else(|| dim("boot request"), |report| plain(&report.message)),
        ]);
    }
    table.render()
}

pub(super) fn health(report: &Report) -> String {
    let attempt = report.attempt.map(|attempt| format!(" (attempt {attempt})")).unwrap_or_default();
    match (report.health, report.event) {
        (_, Event::RolledBack | Event::Failed) => bad("failed"),
        (Health::Healthy, _) => good("healthy"),
        (Health::Unhealthy, _) => bad(format!("unhealthy{attempt}")),
        (Health::Pending, _) => warn(format!("pending{attempt}")),
        (Health::Unknown, _) => dim("?"),
    }
}

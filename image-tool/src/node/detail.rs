//! One node, whole.

use fleet_protocol::NodeView;
use fleet_protocol::report::SlotStateName;
use signing::UnixTime;

use super::keys::{key_state, keys};
use super::plain;
use super::table::health;
use crate::date::ago;
use crate::ui::size::bytes;
use crate::ui::style::{bad, dim, good, strong, warn};
use crate::ui::table::{Table, properties};

/// All about one node.
pub(crate) fn detail(node: &NodeView, now: UnixTime) -> String {
    let name = |name: Option<String>| name.unwrap_or_else(|| dim("none"));
    let mut pairs = vec![
        ("group", name(node.group.as_ref().map(ToString::to_string))),
        ("pinned to", name(node.pinned.as_ref().map(ToString::to_string))),
        ("key", key_state(&node.enrolment)),
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
    text += &keys(&node.enrolment, now);
    if !node.events.is_empty() {
        let mut events = Table::new(["WHEN", "EVENT", "WHAT"]);
        for event in &node.events {
            let message = plain(&event.message);
            let message = if event.unsigned { format!("{} {message}", warn("unsigned:")) } else { message };
            events.row([ago(&event.time, now), plain(&event.event), message]);
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

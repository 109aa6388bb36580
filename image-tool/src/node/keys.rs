//! A node's keys, and what was refused.

use fleet_protocol::NodeView;
use fleet_protocol::node::{Enrolment, EnrolmentState, KeyView, ReportTrust};
use signing::UnixTime;

use super::plain;
use crate::date::ago;
use crate::ui::style::{bad, dim, good, strong, warn};
use crate::ui::table::Table;

/// In one word, for the list.
pub(super) fn key_state(enrolment: &Enrolment) -> String {
    let word = enrolment.state.word();
    match enrolment.state {
        _ if enrolment.used_twice.is_some() => bad("used twice"),
        EnrolmentState::Approved => good(word),
        EnrolmentState::Pending => warn(word),
        EnrolmentState::Revoked => bad(word),
        EnrolmentState::None | EnrolmentState::Unknown => dim(word),
    }
}

/// Every key with its state, and what was refused.
pub(super) fn keys(enrolment: &Enrolment, now: UnixTime) -> String {
    let mut text = String::new();
    let mut line = |what: String, message: &str| text += &format!("  {what} {}\n", plain(message));
    if let Some(what) = &enrolment.used_twice {
        line(bad("key used twice:"), what);
    }
    if enrolment.report == ReportTrust::Unsigned && enrolment.state == EnrolmentState::Approved {
        line(warn("last report:"), "from before the key was approved, not signed");
    }
    if let Some(group) = &enrolment.group {
        line(dim("enrolled for group"), group.as_str());
    }
    let all: Vec<(String, &KeyView)> = enrolment
        .approved
        .iter()
        .map(|key| (good("approved"), key))
        .chain(enrolment.pending.iter().map(|key| (warn("waits"), key)))
        .collect();
    if !all.is_empty() {
        let mut table = Table::new(["KEY", "STATE", "SINCE", "LAST USED", ">NUMBER", "REMARK"]);
        for (state, key) in all {
            let state = if key.revoked.is_some() { bad("revoked") } else { state };
            let number = key.number.to_string();
            let (since, used) = (ago(&key.since, now), ago(&key.last_used, now));
            table.row([key.key.short(), state, since, used, number, plain(&key.note)]);
        }
        text += &format!("\n{}", table.render());
    }
    if !enrolment.alerts.is_empty() {
        let mut table = Table::new(["REFUSED", ">TIMES", "LAST", "WHAT"]);
        for alert in &enrolment.alerts {
            let count = alert.count.to_string();
            table.row([bad(plain(&alert.kind)), count, ago(&alert.last, now), plain(&alert.message)]);
        }
        text += &format!("\n{}", table.render());
    }
    text
}

/// What a decision has led to, in one line.
pub(crate) fn decided(node: &NodeView) -> String {
    let enrolment = &node.enrolment;
    let key = enrolment.approved.as_ref().map(|key| format!(", key {}", key.key)).unwrap_or_default();
    let reason = enrolment.reason.as_ref().map(|reason| format!(": {}", plain(reason))).unwrap_or_default();
    format!("{} is {}{reason}{key}\n", strong(&node.node), key_state(enrolment))
}

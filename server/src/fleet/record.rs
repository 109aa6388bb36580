//! What is kept of one node, and how a report changes it. Pure.

use std::collections::{BTreeMap, VecDeque};

use fleet_protocol::node::NodeEvent;
use fleet_protocol::{Health, Report};
use image_format::NodeId;
use serde::{Deserialize, Serialize};
use signing::UnixTime;

/// Events kept per node, the newest.
pub const EVENTS_MAX: usize = 50;
/// Longest text of a report that is kept, in bytes: message, reason, kernel, agent.
const TEXT_MAX: usize = 1024;
/// Longest message of an event, in characters.
const EVENT_TEXT_MAX: usize = 300;
/// Most quarantined images in a report.
const QUARANTINE_MAX: usize = 32;

/// What is kept of a node, as JSON in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its last report.
    pub report: Option<Report>,
    /// Last sign of life.
    pub last_seen: UnixTime,
    /// What it showed at its last boot request.
    pub identity: BTreeMap<String, String>,
    /// Newest first.
    pub events: VecDeque<NodeEvent>,
}

/// Why a report is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Not a report.
    #[error("report: {0}")]
    Syntax(String),
    /// The path and the body name different nodes.
    #[error("report: expected node {path}, found {body}")]
    Node {
        /// In the path.
        path: NodeId,
        /// In the body.
        body: NodeId,
    },
    /// A part beyond its bound.
    #[error("report: {part}: expected at most {max}, found {found}")]
    TooMuch {
        /// Which part.
        part: &'static str,
        /// Bytes, or list items.
        max: usize,
        /// Bytes, or list items.
        found: usize,
    },
}

/// Reads a report about `node` and checks its bounds: nodes report without a token, and what they say is kept.
///
/// # Errors
/// [`ReportError`].
pub fn parse_report(bytes: &[u8], node: &NodeId) -> Result<Report, ReportError> {
    let report: Report =
        serde_json::from_slice(bytes).map_err(|error| ReportError::Syntax(error.to_string()))?;
    if report.node != *node {
        return Err(ReportError::Node { path: node.clone(), body: report.node });
    }
    let bound =
        |part, max, found| if found <= max { Ok(()) } else { Err(ReportError::TooMuch { part, max, found }) };
    bound("slots", 2, report.slots.len())?;
    bound("quarantine", QUARANTINE_MAX, report.quarantine.len())?;
    bound("message", TEXT_MAX, report.message.len())?;
    bound("kernel", TEXT_MAX, report.kernel.len())?;
    bound("agent", TEXT_MAX, report.agent.len())?;
    report.quarantine.iter().try_for_each(|image| bound("reason", TEXT_MAX, image.reason.len()))?;
    Ok(report)
}

impl NodeRecord {
    /// A node that nothing is known of.
    pub fn new(now: UnixTime) -> Self {
        Self { report: None, last_seen: now, identity: BTreeMap::new(), events: VecDeque::new() }
    }

    /// The node reported.
    pub fn reported(&mut self, report: Report, now: UnixTime) {
        let event = serde_json::to_value(report.event).ok();
        let event = event.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
        // A sign of life is in `last_seen`; as events they would push out what matters.
        if report.event != fleet_protocol::Event::Alive {
            self.event(event, &report.message, now);
        }
        self.report = Some(report);
        self.seen(now);
    }

    /// The node asked for its boot script, and got what `message` says.
    pub fn asked_to_boot(&mut self, identity: BTreeMap<String, String>, message: &str, now: UnixTime) {
        self.identity = identity;
        self.event("boot-request".to_owned(), message, now);
        self.seen(now);
    }

    /// Health as a word for metrics; a node that never reported is `silent`.
    pub fn health(&self) -> &'static str {
        match self.report.as_ref().map(|report| report.health) {
            None => "silent",
            Some(Health::Pending) => "pending",
            Some(Health::Healthy) => "healthy",
            Some(Health::Unhealthy) => "unhealthy",
            Some(Health::Unknown) => "unknown",
        }
    }

    fn seen(&mut self, now: UnixTime) {
        self.last_seen = self.last_seen.max(now);
    }

    fn event(&mut self, event: String, message: &str, now: UnixTime) {
        let message = message.chars().take(EVENT_TEXT_MAX).collect();
        self.events.push_front(NodeEvent { time: now.to_string(), event, message });
        self.events.truncate(EVENTS_MAX);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fleet_protocol::Event;

    use super::*;

    /// A report of `node` with everything that may be absent absent.
    pub(crate) fn report(node: &str, event: Event, message: &str) -> Report {
        Report {
            node: node.parse().unwrap(),
            group: None,
            event,
            message: message.into(),
            slot: None,
            image: None,
            manifest: None,
            attempt: None,
            health: Health::Pending,
            slots: vec![],
            quarantine: vec![],
            fetched_bytes: None,
            kernel: "6.1".into(),
            agent: "0.1".into(),
        }
    }

    #[test]
    fn events_are_bounded_and_newest_first() {
        let mut record = NodeRecord::new(UnixTime(0));
        for second in 1..=60 {
            let message = format!("{second} {}", "é".repeat(400));
            record.reported(report("n", Event::RolledBack, &message), UnixTime(second));
        }
        record.reported(report("n", Event::Alive, "fine"), UnixTime(61));
        assert_eq!(record.events.len(), EVENTS_MAX);
        assert!(record.events[0].message.starts_with("60 "), "{:?}", record.events[0]);
        assert_eq!(record.events[0].message.chars().count(), EVENT_TEXT_MAX);
        assert_eq!(record.events[0].event, "rolled-back");
        assert_eq!((record.last_seen, record.health()), (UnixTime(61), "pending"));
    }

    #[test]
    fn reports_are_checked() {
        let node: NodeId = "52-54-00-12-34-56".parse().unwrap();
        let good = report(node.as_str(), Event::Booting, "ok");
        let parse = |report: &Report| parse_report(&serde_json::to_vec(report).unwrap(), &node);
        assert_eq!(parse(&good).unwrap(), good);
        let other = report("other", Event::Booting, "ok");
        let error = ReportError::Node { path: node.clone(), body: other.node.clone() };
        assert_eq!(parse(&other), Err(error));
        let long = Report { message: "x".repeat(1025), ..good.clone() };
        assert_eq!(parse(&long), Err(ReportError::TooMuch { part: "message", max: 1024, found: 1025 }));
        assert!(matches!(parse_report(b"{}", &node), Err(ReportError::Syntax(_))));
        let mut newer = serde_json::to_value(&good).unwrap();
        newer["event"] = "dancing".into();
        newer["shoes"] = 2.into();
        let newer = parse_report(newer.to_string().as_bytes(), &node).unwrap();
        assert_eq!(newer.event, Event::Unknown);
    }
}

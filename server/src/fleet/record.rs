//! What is kept of one node, and how a report changes it. Pure.

use std::collections::{BTreeMap, VecDeque};

use fleet_protocol::identity::SignedReport;
use fleet_protocol::node::{NodeEvent, ReportTrust};
use fleet_protocol::{Health, Report};
use image_format::NodeId;
use serde::{Deserialize, Serialize};
use signing::UnixTime;

use super::alerts::Alerts;
use super::keys::{Fault, Keys};

/// The version of a record that this code writes. It reads every one up to this: 1 knew no keys.
pub const RECORD_VERSION: u32 = 2;
/// Events kept of what unsigned reports say about a node with an approved key: anybody can send them.
const CLAIMS_MAX: usize = 10;
/// Events kept per node, the newest.
pub const EVENTS_MAX: usize = 50;
/// Seconds between two events of [`NodeRecord::event_seldom`].
const SELDOM: i64 = 600;
/// Longest text of a report that is kept, in bytes: message, reason, kernel, agent.
const TEXT_MAX: usize = 1024;
/// Longest message of an event, in characters.
const EVENT_TEXT_MAX: usize = 300;
/// Most quarantined images in a report.
const QUARANTINE_MAX: usize = 32;

/// What is kept of a node, as JSON in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// [`RECORD_VERSION`] of who wrote it.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Its last report that counts.
    pub report: Option<Report>,
    /// How far that report can be believed.
    #[serde(default)]
    pub trust: ReportTrust,
    /// Its keys.
    #[serde(default)]
    pub keys: Keys,
    /// What was refused.
    #[serde(default)]
    pub alerts: Alerts,
    /// What unsigned reports said although the node has an approved key; newest first.
    #[serde(default)]
    pub claims: VecDeque<NodeEvent>,
    /// Last sign of life.
    pub last_seen: UnixTime,
    /// What it showed at its last boot request.
    pub identity: BTreeMap<String, String>,
    /// Newest first.
    pub events: VecDeque<NodeEvent>,
}

fn first_version() -> u32 {
    1
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
    let report = serde_json::from_slice(bytes).map_err(|error| ReportError::Syntax(error.to_string()))?;
    check_report(report, node)
}

/// Reads what a node has signed as a report, as [`parse_report`] does.
///
/// # Errors
/// [`ReportError`].
pub fn parse_signed_report(bytes: &[u8], node: &NodeId) -> Result<SignedReport, ReportError> {
    let signed: SignedReport =
        serde_json::from_slice(bytes).map_err(|error| ReportError::Syntax(error.to_string()))?;
    Ok(SignedReport { report: check_report(signed.report, node)?, ..signed })
}

fn check_report(report: Report, node: &NodeId) -> Result<Report, ReportError> {
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
        Self {
            version: RECORD_VERSION,
            report: None,
            trust: ReportTrust::default(),
            keys: Keys::default(),
            alerts: Alerts::default(),
            claims: VecDeque::new(),
            last_seen: now,
            identity: BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    /// The node reported, as far as `trust` says.
    pub fn reported(&mut self, report: Report, trust: ReportTrust, now: UnixTime) {
        // A sign of life is in `last_seen`; as events they would push out what matters.
        if report.event != fleet_protocol::Event::Alive {
            self.event(word(report.event), &report.message, now);
        }
        self.report = Some(report);
        self.trust = trust;
        self.seen(now);
    }

    /// Somebody reported for the node without its signature, although it has an approved key: shown, and nothing follows.
    pub fn claimed(&mut self, report: &Report, now: UnixTime) {
        if report.event != fleet_protocol::Event::Alive {
            self.claims.push_front(event(word(report.event), &report.message, true, now));
            self.claims.truncate(CLAIMS_MAX);
        }
    }

    /// Something was refused.
    pub fn refused(&mut self, fault: &Fault, now: UnixTime) {
        if self.alerts.count(fault.refusal.word(), &fault.message, now) {
            self.event(fault.refusal.word().to_owned(), &fault.message, now);
        }
    }

    /// Events and claims in one list, newest first.
    pub fn history(&self) -> Vec<NodeEvent> {
        let mut all: Vec<NodeEvent> = self.events.iter().chain(&self.claims).cloned().collect();
        // Stable: what happened in the same second stays in its order.
        all.sort_by(|one, other| other.time.cmp(&one.time));
        all
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

    /// Something happened that strangers can make happen as often as they like: an event only every ten minutes.
    pub fn event_seldom(&mut self, what: &str, message: &str, now: UnixTime) {
        let recent = |event: &NodeEvent| {
            let time = event.time.parse::<UnixTime>();
            event.event == what && time.is_ok_and(|time| time.plus_seconds(SELDOM) > now)
        };
        if !self.events.iter().any(recent) {
            self.event(what.to_owned(), message, now);
        }
    }

    /// Something happened.
    pub fn event(&mut self, what: String, message: &str, now: UnixTime) {
        self.events.push_front(event(what, message, false, now));
        self.events.truncate(EVENTS_MAX);
    }
}

fn word(event: fleet_protocol::Event) -> String {
    let value = serde_json::to_value(event).ok();
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn event(event: String, message: &str, unsigned: bool, now: UnixTime) -> NodeEvent {
    let message = message.chars().take(EVENT_TEXT_MAX).collect();
    NodeEvent { time: now.to_string(), event, message, unsigned }
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
            record.reported(
                report("n", Event::RolledBack, &message),
                ReportTrust::Unsigned,
                UnixTime(second),
            );
        }
        record.reported(report("n", Event::Alive, "fine"), ReportTrust::Unsigned, UnixTime(61));
        assert_eq!(record.events.len(), EVENTS_MAX);
        assert!(record.events[0].message.starts_with("60 "), "{:?}", record.events[0]);
        assert_eq!(record.events[0].message.chars().count(), EVENT_TEXT_MAX);
        assert_eq!(record.events[0].event, "rolled-back");
        assert_eq!((record.last_seen, record.health()), (UnixTime(61), "pending"));
    }

    #[test]
    fn a_record_of_the_first_version_is_read() {
        let old = r#"{"report":null,"last_seen":"2026-11-20T10:00:00Z","identity":{"mac":"x"},
            "events":[{"time":"2026-11-20T10:00:00Z","event":"boot-request","message":"given ha@1"}]}"#;
        let record: NodeRecord = serde_json::from_str(old).unwrap();
        assert_eq!((record.version, record.keys == Keys::default(), record.events.len()), (1, true, 1));
    }

    #[test]
    fn strangers_make_an_event_only_now_and_then() {
        let mut record = NodeRecord::new(UnixTime(0));
        for second in 0..1300 {
            record.event_seldom("new-key", &format!("at {second}"), UnixTime(second));
        }
        let messages: Vec<&str> = record.events.iter().map(|event| event.message.as_str()).collect();
        assert_eq!(messages, ["at 1200", "at 600", "at 0"]);
    }

    #[test]
    fn claims_do_not_push_out_events() {
        let mut record = NodeRecord::new(UnixTime(0));
        record.reported(report("n", Event::Confirmed, "mine"), ReportTrust::Approved, UnixTime(5));
        for second in 10..100 {
            record.claimed(&report("n", Event::RolledBack, "forged"), UnixTime(second));
            record.claimed(&report("n", Event::Alive, "forged"), UnixTime(second));
        }
        let history = record.history();
        assert_eq!((history.len(), history[0].unsigned, history[10].message.as_str()), (11, true, "mine"));
        assert_eq!((record.report.unwrap().message.as_str(), record.last_seen), ("mine", UnixTime(5)));
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

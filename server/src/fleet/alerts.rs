//! What was refused at one node, counted by kind: nobody who is refused often can push out what matters.

use fleet_protocol::node::Alert;
use serde::{Deserialize, Serialize};
use signing::UnixTime;

/// Seconds of silence after which the same kind is an event again.
const PAUSE: i64 = 600;
/// Longest message, in characters.
const MESSAGE_MAX: usize = 300;
/// Most kinds; there are fewer.
const KINDS_MAX: usize = 16;

/// One kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    kind: String,
    first: UnixTime,
    last: UnixTime,
    count: u64,
    message: String,
}

/// All kinds that occurred, the latest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Alerts(Vec<Count>);

impl Alerts {
    /// Counts; true when it is news, and worth an event.
    pub fn count(&mut self, kind: &str, message: &str, now: UnixTime) -> bool {
        let message: String = message.chars().take(MESSAGE_MAX).collect();
        let at = self.0.iter().position(|count| count.kind == kind);
        let found = at.map(|at| self.0.remove(at));
        let news = found.as_ref().is_none_or(|count| now.0 >= count.last.0.saturating_add(PAUSE));
        let before = found.unwrap_or(Count {
            kind: kind.to_owned(),
            first: now,
            last: now,
            count: 0,
            message: String::new(),
        });
        let count = Count { last: now, count: before.count.saturating_add(1), message, ..before };
        self.0.insert(0, count);
        self.0.truncate(KINDS_MAX);
        news
    }

    /// For the node list.
    pub fn view(&self) -> Vec<Alert> {
        let view = |count: &Count| Alert {
            kind: count.kind.clone(),
            first: count.first.to_string(),
            last: count.last.to_string(),
            count: count.count,
            message: count.message.clone(),
        };
        self.0.iter().map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_event_and_a_number() {
        let mut alerts = Alerts::default();
        let events =
            (0..1000).filter(|second| alerts.count("replayed", "number 1", UnixTime(*second))).count();
        assert_eq!(events, 1);
        assert!(alerts.count("other-key", "x", UnixTime(1000)));
        assert!(!alerts.count("replayed", "number 2", UnixTime(1598)));
        assert!(alerts.count("replayed", "number 3", UnixTime(2198)));
        let view = alerts.view();
        assert_eq!(
            (view[0].kind.as_str(), view[0].count, view[0].message.as_str()),
            ("replayed", 1002, "number 3")
        );
        assert_eq!(view[0].first, "1970-01-01T00:00:00Z");
    }
}

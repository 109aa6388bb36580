//! What the server tells about a node, read tolerantly.

use anyhow::{Context, Result};
use serde_json::Value;

/// A node as `GET /v1/nodes` gives it.
#[derive(Debug, Clone)]
pub struct Node(Value);

/// An event of a node's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, RFC 3339.
    pub time: String,
    /// What happened.
    pub event: String,
    /// One line for people.
    pub message: String,
}

pub(super) fn parse(list: &Value) -> Result<Vec<Node>> {
    Ok(list.as_array().context("node list is not an array")?.iter().cloned().map(Node).collect())
}

impl Node {
    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or("-")
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.text("/node")
    }

    /// Its group.
    pub fn group(&self) -> &str {
        self.text("/group")
    }

    /// The image that the group is pinned to.
    pub fn pinned(&self) -> &str {
        self.text("/pinned")
    }

    /// The image that it last reported to run.
    pub fn image(&self) -> &str {
        self.text("/report/image")
    }

    /// The slot that it last reported to run.
    pub fn slot(&self) -> &str {
        self.text("/report/slot")
    }

    /// Its last reported health.
    pub fn health(&self) -> &str {
        self.text("/report/health")
    }

    /// What it last reported.
    pub fn event(&self) -> &str {
        self.text("/report/event")
    }

    /// Its last message.
    pub fn message(&self) -> &str {
        self.text("/report/message")
    }

    /// Time of the last sign of life.
    pub fn last_seen(&self) -> &str {
        self.text("/last_seen")
    }

    /// State and image of a slot, `a` or `b`.
    pub fn slot_state(&self, slot: &str) -> (&str, &str) {
        let slots = self.0.pointer("/report/slots").and_then(Value::as_array);
        let found = slots.and_then(|slots| slots.iter().find(|entry| entry["slot"] == slot));
        found.map_or(("-", "-"), |entry| {
            (entry["state"].as_str().unwrap_or("-"), entry["image"].as_str().unwrap_or("-"))
        })
    }

    /// Bytes fetched for the last installation.
    pub fn fetched(&self) -> Option<u64> {
        self.0.pointer("/report/fetched_bytes").and_then(Value::as_u64)
    }

    /// Why it will not try `image` again; none when it would.
    pub fn quarantine(&self, image: &str) -> Option<&str> {
        let list = self.0.pointer("/report/quarantine")?.as_array()?;
        list.iter().find(|entry| entry["image"] == image)?["reason"].as_str()
    }

    /// Its history, newest first.
    pub fn events(&self) -> Vec<Event> {
        let list = self.0["events"].as_array().map_or(&[][..], Vec::as_slice);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        list.iter()
            .map(|event| Event {
                time: text(&event["time"]),
                event: text(&event["event"]),
                message: text(&event["message"]),
            })
            .collect()
    }

    /// Events that are newer than those of `before`, newest first.
    pub fn events_since(&self, before: &Self) -> Vec<Event> {
        let newest = before.events().into_iter().next();
        self.events().into_iter().take_while(|event| Some(event) != newest.as_ref()).collect()
    }

    /// Whether it runs `image` in `slot`, healthy and confirmed.
    pub fn runs(&self, image: &str, slot: &str) -> bool {
        self.image() == image
            && self.slot() == slot
            && self.health() == "healthy"
            && self.slot_state(slot) == ("confirmed", image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_runs_only_what_is_healthy_and_confirmed() {
        let slots = json!([{"slot": "a", "state": "confirmed", "image": "ha@1"}]);
        let mut value = json!({"node": "n", "report": {"image": "ha@1", "slot": "a", "health": "healthy", "slots": slots}});
        assert!(Node(value.clone()).runs("ha@1", "a"));
        assert!(!Node(value.clone()).runs("ha@1", "b"));
        value["report"]["slots"][0]["state"] = "trial".into();
        assert!(!Node(value.clone()).runs("ha@1", "a"));
        value["report"] = Value::Null;
        assert!(!Node(value).runs("ha@1", "a"));
    }

    #[test]
    fn only_newer_events_count() {
        let event = |time: &str| json!({"time": time, "event": "alive", "message": ""});
        let before = Node(json!({"events": [event("2"), event("1")]}));
        let after = Node(json!({"events": [event("4"), event("3"), event("2")]}));
        let times: Vec<_> = after.events_since(&before).into_iter().map(|event| event.time).collect();
        assert_eq!(times, ["4", "3"]);
        assert!(before.events_since(&before).is_empty());
    }
}

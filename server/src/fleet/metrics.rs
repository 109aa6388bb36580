//! Metrics about nodes' identities. Labels are words of ours.

use fleet_protocol::node::EnrolmentState;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::inventory::Inventory;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

/// See the module.
#[derive(Debug, Default)]
pub struct FleetMetrics {
    reports: Family<OutcomeLabel, Counter>,
    enrolments: Family<OutcomeLabel, Counter>,
    states: Family<StateLabel, Gauge>,
    twice: Gauge,
}

impl FleetMetrics {
    /// All at zero, in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let text = "Node reports: unsigned, pending or approved key, claim (unsigned where a key is approved), or why refused";
        registry.register("node_reports", text, metrics.reports.clone());
        let text = "Enrolment requests: approved, pending, limited, or why refused";
        registry.register("node_enrolments", text, metrics.enrolments.clone());
        registry.register("node_identities", "Known nodes by the state of their key", metrics.states.clone());
        let text = "Nodes whose key seems to be used by two machines";
        registry.register("nodes_key_used_twice", text, metrics.twice.clone());
        metrics
    }

    /// A report came.
    pub fn report(&self, outcome: &'static str) {
        self.reports.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// A node asked to enrol.
    pub fn enrolment(&self, outcome: &'static str) {
        self.enrolments.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Looks at the inventory, for a scrape.
    pub fn observe(&self, inventory: &Inventory) {
        for state in
            [EnrolmentState::None, EnrolmentState::Pending, EnrolmentState::Approved, EnrolmentState::Revoked]
        {
            let count = inventory.count(|summary| summary.state == state);
            self.states.get_or_create(&StateLabel { state: state.word() }).set(count.cast_signed());
        }
        self.twice.set(inventory.count(|summary| summary.used_twice).cast_signed());
    }
}

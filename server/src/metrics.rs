//! What `/metrics` shows. Labels have bounded variety: routes and outcomes are words of ours, never text from a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::care::CareMetrics;
use crate::fleet::metrics::FleetMetrics;
use signing::UnixTime;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabel {
    listener: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    listener: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HealthLabel {
    health: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleLabel {
    role: String,
}

/// Values that are looked up when somebody asks, instead of being counted.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Objects in the store.
    pub objects: u64,
    /// Nodes by health.
    pub nodes: BTreeMap<&'static str, u64>,
    /// Seconds until each metadata role expires; negative when it has.
    pub expires_in: BTreeMap<String, i64>,
    /// Seconds since 1970 when each metadata role expires.
    pub expiry: BTreeMap<String, i64>,
}

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    sent: Family<ListenerLabel, Counter>,
    connections: Family<ListenerLabel, Gauge>,
    rejected: Family<ListenerLabel, Counter>,
    boot_scripts: Family<OutcomeLabel, Counter>,
    /// About nodes' identities.
    pub fleet: FleetMetrics,
    /// About the state of the store.
    pub care: CareMetrics,
    objects: Gauge,
    nodes: Family<HealthLabel, Gauge>,
    expires_in: Family<RoleLabel, Gauge>,
    expiry: Family<RoleLabel, Gauge>,
    resign_failures: Counter,
    resigned: Gauge,
}

/// An open connection in the gauge; leaving scope takes it out.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix("bascule");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running server", build);
        let metrics = Self {
            requests: Family::default(),
            sent: Family::default(),
            connections: Family::default(),
            rejected: Family::default(),
            boot_scripts: Family::default(),
            fleet: FleetMetrics::register(&mut registry),
            care: CareMetrics::register(&mut registry),
            objects: Gauge::default(),
            nodes: Family::default(),
            expires_in: Family::default(),
            expiry: Family::default(),
            resign_failures: Counter::default(),
            resigned: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        let text = "Bytes of answer bodies sent";
        registry.register_with_unit("http_sent", text, Unit::Bytes, metrics.sent.clone());
        registry.register("http_connections", "Open connections", metrics.connections.clone());
        let text = "Connections turned away with 503";
        registry.register("http_connections_rejected", text, metrics.rejected.clone());
        registry.register("boot_scripts", "Boot scripts by outcome", metrics.boot_scripts.clone());
        registry.register("store_objects", "Objects in the store", metrics.objects.clone());
        registry.register("nodes", "Known nodes by reported health", metrics.nodes.clone());
        let text = "Time until a metadata role expires";
        registry.register_with_unit("metadata_expires_in", text, Unit::Seconds, metrics.expires_in.clone());
        let text = "When a metadata role expires";
        registry.register_with_unit("metadata_expiry_timestamp", text, Unit::Seconds, metrics.expiry.clone());
        let text = "Times that snapshot and timestamp could not be signed";
        registry.register("resign_failures", text, metrics.resign_failures.clone());
        let text = "When snapshot and timestamp were last signed here; 0: not yet";
        registry.register_with_unit(
            "resign_last_success_timestamp",
            text,
            Unit::Seconds,
            metrics.resigned.clone(),
        );
        Arc::new(Self { registry, ..metrics })
    }

    /// A request was answered with `bytes` of body.
    pub fn answered(&self, listener: &'static str, route: &'static str, status: u16, bytes: u64) {
        self.requests.get_or_create(&RequestLabels { listener, route, status }).inc();
        self.sent.get_or_create(&ListenerLabel { listener }).inc_by(bytes);
    }

    /// A connection was let in.
    pub fn opened(&self, listener: &'static str) -> OpenConnection {
        let gauge = self.connections.get_or_create_owned(&ListenerLabel { listener });
        gauge.inc();
        OpenConnection(gauge)
    }

    /// A connection was turned away.
    pub fn rejected(&self, listener: &'static str) {
        self.rejected.get_or_create(&ListenerLabel { listener }).inc();
    }

    /// A boot script went out.
    pub fn boot_script(&self, outcome: &'static str) {
        self.boot_scripts.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Snapshot and timestamp could not be signed.
    pub fn resign_failed(&self) {
        self.resign_failures.inc();
    }

    /// Snapshot and timestamp were signed.
    pub fn resigned(&self, now: UnixTime) {
        self.resigned.set(now.0);
    }

    /// The text for a scrape.
    ///
    /// # Errors
    /// None that a `String` can cause; the encoder's signature has one.
    pub fn text(&self, snapshot: &Snapshot) -> Result<String, std::fmt::Error> {
        self.objects.set(snapshot.objects.cast_signed());
        for (health, count) in &snapshot.nodes {
            self.nodes.get_or_create(&HealthLabel { health }).set(count.cast_signed());
        }
        for (role, seconds) in &snapshot.expires_in {
            self.expires_in.get_or_create(&RoleLabel { role: role.clone() }).set(*seconds);
        }
        for (role, seconds) in &snapshot.expiry {
            self.expiry.get_or_create(&RoleLabel { role: role.clone() }).set(*seconds);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_shows_what_was_counted() {
        let metrics = Metrics::new();
        metrics.answered("delivery", "object", 200, 5);
        let open = metrics.opened("delivery");
        metrics.rejected("admin");
        metrics.boot_script("boot");
        let snapshot = Snapshot {
            objects: 7,
            nodes: [("healthy", 2)].into(),
            expires_in: [("timestamp".to_owned(), -3)].into(),
            expiry: [("timestamp".to_owned(), 1_800_000_000)].into(),
        };
        metrics.resign_failed();
        metrics.resigned(UnixTime(1_800_000_001));
        let text = metrics.text(&snapshot).unwrap();
        for line in [
            "bascule_http_requests_total{listener=\"delivery\",route=\"object\",status=\"200\"} 1",
            "bascule_http_sent_bytes_total{listener=\"delivery\"} 5",
            "bascule_http_connections{listener=\"delivery\"} 1",
            "bascule_http_connections_rejected_total{listener=\"admin\"} 1",
            "bascule_boot_scripts_total{outcome=\"boot\"} 1",
            "bascule_store_objects 7",
            "bascule_nodes{health=\"healthy\"} 2",
            "bascule_metadata_expires_in_seconds{role=\"timestamp\"} -3",
            "bascule_metadata_expiry_timestamp_seconds{role=\"timestamp\"} 1800000000",
            "bascule_resign_failures_total 1",
            "bascule_resign_last_success_timestamp_seconds 1800000001",
            concat!("bascule_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        drop(open);
        assert!(metrics.text(&snapshot).unwrap().contains("http_connections{listener=\"delivery\"} 0"));
    }
}

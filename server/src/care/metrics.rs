//! Counters of the scrub, and what lies in the store beside objects.

use image_format::store::scrub::Scrubbed;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use signing::UnixTime;

use super::quarantine::Quarantine;

/// See the module.
#[derive(Debug, Default)]
pub struct CareMetrics {
    objects: Counter,
    bytes: Counter,
    damaged: Counter,
    bad_packs: Counter,
    quarantined: Counter,
    repaired: Counter,
    passes: Counter,
    failures: Counter,
    last_pass: Gauge,
    kept: Gauge,
    missing: Gauge,
}

impl CareMetrics {
    /// All at zero, in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for (name, help, counter) in [
            (
                "scrub_objects",
                "Copies of objects that were read and compared with their digests",
                &metrics.objects,
            ),
            ("scrub_damaged", "Copies of objects that were damaged", &metrics.damaged),
            ("scrub_bad_packs", "Packs whose table was damaged", &metrics.bad_packs),
            ("scrub_quarantined", "Files that were moved to quarantine", &metrics.quarantined),
            ("scrub_repaired", "Damaged copies whose object is there again, whole", &metrics.repaired),
            ("scrub_passes", "Passes through the whole store", &metrics.passes),
            ("scrub_failures", "Times that the scrub could not go on at once", &metrics.failures),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register_with_unit(
            "scrub_read",
            "Bytes that were read and compared with their digests",
            Unit::Bytes,
            metrics.bytes.clone(),
        );
        registry.register_with_unit(
            "scrub_last_pass_timestamp",
            "When the last pass through the whole store ended; 0: not yet",
            Unit::Seconds,
            metrics.last_pass.clone(),
        );
        registry.register("store_quarantine", "Files in quarantine", metrics.kept.clone());
        let help = "Objects in quarantine of which the store has no good copy";
        registry.register("store_quarantine_missing", help, metrics.missing.clone());
        metrics
    }

    /// A pass has come from `before` to `now`.
    pub fn advanced(&self, before: &Scrubbed, now: &Scrubbed) {
        for (counter, before, now) in [
            (&self.objects, before.objects, now.objects),
            (&self.bytes, before.bytes, now.bytes),
            (&self.damaged, before.damaged, now.damaged),
            (&self.bad_packs, before.bad_packs, now.bad_packs),
            (&self.quarantined, before.quarantined, now.quarantined),
            (&self.repaired, before.repaired, now.repaired),
        ] {
            counter.inc_by(now.saturating_sub(before));
        }
    }

    /// A pass is over.
    pub fn passed(&self, now: UnixTime) {
        self.passes.inc();
        self.last_pass.set(now.0);
    }

    /// The disk was full, or could not be written.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// What lies in quarantine now.
    pub fn observe(&self, quarantine: &Quarantine) {
        self.kept.set(i64::try_from(quarantine.files).unwrap_or(i64::MAX));
        self.missing.set(i64::try_from(quarantine.missing.len()).unwrap_or(i64::MAX));
    }
}

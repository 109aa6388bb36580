//! Care for the store while it serves: all of it is read again and again, damage is moved away, and people are told.
//!
//! ```text
//! scrub task, slowly ─→ image_format::store::scrub ─→ quarantine/ID, counters
//! quarantine/ ─→ objects that are missing since ─→ /readyz: a warning, /metrics: a gauge
//! ```

mod metrics;
mod quarantine;
mod scrub;

pub use self::metrics::CareMetrics;
pub use self::quarantine::{Quarantine, look};
pub use self::scrub::{ScrubSettings, run};

//! How long each phase took.

use std::time::Instant;

use initramfs_agent::disk::install::Phase;

/// Phases and when they began. The flush belongs to the phase before it.
pub(crate) struct Phases {
    begun: Vec<(&'static str, Instant)>,
}

impl Phases {
    pub(crate) fn begin() -> Self {
        Self { begun: vec![("prepare", Instant::now())] }
    }

    pub(crate) fn enter(&mut self, phase: Phase) {
        let name = match phase {
            Phase::Local => "local",
            Phase::Fetch => "fetch",
            Phase::Objects => "objects_and_flush",
            Phase::ReadBack => "read_back",
        };
        if self.begun.last().is_none_or(|(last, _)| *last != name) {
            self.begun.push((name, Instant::now()));
        }
    }

    /// Seconds by phase, in order.
    pub(crate) fn end(self) -> serde_json::Value {
        let ends = self.begun.iter().skip(1).map(|(_, start)| *start).chain([Instant::now()]);
        let seconds = self.begun.iter().zip(ends).map(|((name, start), end)| {
            serde_json::json!({ "phase": name, "seconds": (end - *start).as_secs_f64() })
        });
        seconds.collect()
    }
}

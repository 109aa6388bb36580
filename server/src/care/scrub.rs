//! The task that reads the store again and again, slowly.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use image_format::store::scrub::{Scrub, Scrubbed};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::app::{App, now};
use crate::http::Error;
use crate::http::error::Chain;

/// Bytes read in one step: between two steps the task stops when it is told so.
const STEP: u64 = 4 << 20;
/// Pause after a step that failed: a full disk is not empty at once.
const FAILURE_PAUSE: Duration = Duration::from_secs(60);
/// Steps in a row that may fail until a pass is given up; the next one begins at its time.
const FAILURES_MAX: u32 = 10;

/// How the store is scrubbed.
#[derive(Debug, Clone)]
pub struct ScrubSettings {
    /// Bytes a second at most; none: not at all.
    pub rate: Option<NonZeroU64>,
    /// From the start of the server to the first pass.
    pub first: Duration,
    /// From the beginning of a pass to that of the next one, unless it takes longer.
    pub every: Duration,
}

impl Default for ScrubSettings {
    fn default() -> Self {
        Self {
            rate: NonZeroU64::new(16 << 20),
            first: Duration::from_secs(60),
            every: Duration::from_secs(86_400),
        }
    }
}

/// Makes pass after pass until the stop.
pub async fn run(app: Arc<App>, settings: ScrubSettings, mut stop: watch::Receiver<bool>) {
    let Some(rate) = settings.rate else { return };
    let mut begin = Instant::now() + settings.first;
    loop {
        let passing = async {
            tokio::time::sleep_until(begin).await;
            begin = Instant::now() + settings.every;
            if let Err(error) = pass(&app, rate).await {
                app.metrics.care.failed();
                tracing::error!(reason = %error.for_log(), "scrub given up until the next pass");
            }
        };
        tokio::select! {
            () = passing => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// One pass through the store.
async fn pass(app: &Arc<App>, rate: NonZeroU64) -> Result<(), Error> {
    let start = Instant::now();
    let mut scrub = app.blocking(|app| Scrub::new(app.content.store()).map_err(Error::internal)).await?;
    let mut seen = Scrubbed::default();
    let mut failures = 0;
    loop {
        let step_start = Instant::now();
        let (advanced, result) = app
            .blocking(move |_| {
                // There is no other store to take good bytes from; `imgtool scrub --repair-from` does it.
                let result = scrub.step(STEP, &mut |_, _| None);
                Ok((scrub, result))
            })
            .await?;
        scrub = advanced;
        let report = scrub.report();
        app.metrics.care.advanced(&seen, report);
        if (report.damaged, report.bad_packs) != (seen.damaged, seen.bad_packs) {
            let named = report.named.get(seen.named.len()..).unwrap_or_default();
            let objects: Vec<String> = named.iter().map(ToString::to_string).collect();
            tracing::error!(
                damaged = report.damaged,
                bad_packs = report.bad_packs,
                repaired = report.repaired,
                ?objects,
                "damage in the store"
            );
        }
        let read = report.bytes.saturating_sub(seen.bytes);
        seen = report.clone();
        match result {
            Ok(true) => break,
            Ok(false) => {
                failures = 0;
                tokio::time::sleep_until(step_start + time_of(read, rate)).await;
            }
            Err(error) => {
                failures += 1;
                if failures == FAILURES_MAX {
                    return Err(Error::internal(error));
                }
                app.metrics.care.failed();
                tracing::error!(reason = %Chain(&error), "scrub");
                tokio::time::sleep(FAILURE_PAUSE).await;
            }
        }
    }
    app.metrics.care.passed(now());
    let Scrubbed { objects, bytes, damaged, .. } = seen;
    tracing::info!(objects, bytes, damaged, seconds = start.elapsed().as_secs(), "scrubbed");
    Ok(())
}

/// How long the reading of `bytes` should take.
fn time_of(bytes: u64, rate: NonZeroU64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1_000_000) / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept() {
        let rate = NonZeroU64::new(16 << 20).unwrap();
        assert_eq!(time_of(STEP, rate), Duration::from_millis(250));
        assert_eq!(time_of(0, rate), Duration::ZERO);
    }
}

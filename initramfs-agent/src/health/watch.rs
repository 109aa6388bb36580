//! Signs of life.

use std::process::ExitCode;
use std::time::Duration;

use fleet_protocol::{Event, Health};

use super::{System, gate};
use crate::http::retry::{Backoff, seed};
use crate::say;

/// Between two signs of life, before jitter.
const PERIOD: Duration = Duration::from_secs(60);

/// Checks and reports for ever, about once a minute, spread so that a fleet does not report in one second. The first report
/// that the server takes again after it was away tells the state, since every report is complete.
pub(super) fn watch(system: &mut System) -> anyhow::Result<ExitCode> {
    let mut jitter = Backoff::new(seed());
    let mut healthy = true;
    loop {
        std::thread::sleep(PERIOD.mul_f64(0.8 + 0.4 * jitter.fraction()));
        let name = system.info.image.clone();
        match gate::once(&system.info.manifest.health) {
            Ok(()) => {
                if !healthy {
                    say!("health: {name} is healthy again");
                }
                healthy = true;
                system.report(Event::Alive, Health::Healthy, &format!("{name} is healthy"));
            }
            Err(reason) => {
                let event = if healthy { Event::Unhealthy } else { Event::Alive };
                if healthy {
                    say!("health: {reason}");
                }
                healthy = false;
                system.report(event, Health::Unhealthy, &reason);
            }
        }
    }
}

//! Signs of life.

use std::process::ExitCode;
use std::time::Duration;

use fleet_protocol::{Event, Health};

use super::{System, Told, gate};
use crate::http::retry::{Backoff, seed};
use crate::say;

/// Between two signs of life, before jitter.
const PERIOD: Duration = Duration::from_secs(60);

/// Shortest pause before a report that nobody took is sent again.
const SOON: Duration = Duration::from_secs(5);

/// Checks and reports for ever, about once a minute, spread so that a fleet does not report in one second. A verdict that the
/// server did not take is told again, sooner and ever slower, until it takes it or another one takes its place.
pub(super) fn watch(system: &mut System, mut untold: Option<Told>) -> anyhow::Result<ExitCode> {
    let mut jitter = Backoff::new(seed());
    let mut healthy = untold.as_ref().is_none_or(|told| told.health == Health::Healthy);
    let mut soon = SOON;
    loop {
        let pause = if untold.is_some() { soon } else { PERIOD };
        std::thread::sleep(pause.mul_f64(0.8 + 0.4 * jitter.fraction()));
        if untold.is_some() && soon < PERIOD {
            soon = soon.saturating_mul(2);
            untold = untold.filter(|told| !told.tell(system));
            continue;
        }
        let now = look(system, healthy);
        healthy = now.health == Health::Healthy;
        let told = now.tell(system);
        soon = SOON;
        untold = Some(now).filter(|now| !told && now.event != Event::Alive);
    }
}

/// One round of checks; its event is a sign of life, or a change for the worse.
fn look(system: &System, was_healthy: bool) -> Told {
    let name = &system.info.image;
    match gate::once(&system.info.manifest.health) {
        Ok(()) => {
            if !was_healthy {
                say!("health: {name} is healthy again");
            }
            Told { event: Event::Alive, health: Health::Healthy, message: format!("{name} is healthy") }
        }
        Err(reason) => {
            if was_healthy {
                say!("health: {reason}");
            }
            let event = if was_healthy { Event::Unhealthy } else { Event::Alive };
            Told { event, health: Health::Unhealthy, message: reason }
        }
    }
}

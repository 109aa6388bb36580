//! Rounds of checks until all pass in one round, or the deadline is over.

use std::time::{Duration, Instant};

use image_format::manifest::{Check, Health};

use super::probe;
use crate::say;

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits for the first round in which every check passes.
///
/// # Errors
/// `check NAME: …` for the first check that failed in the last round before the deadline.
pub(super) fn wait(health: &Health) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(health.deadline_s.into());
    rounds(&health.checks, deadline, PAUSE, &mut probe::probe)
}

/// One round of all checks, for a system that is up.
///
/// # Errors
/// As [`wait`].
pub(super) fn once(health: &Health) -> Result<(), String> {
    let longest = health.checks.iter().map(|check| u64::from(check.timeout_s)).sum::<u64>();
    let deadline = Instant::now() + Duration::from_secs(longest.max(1));
    round(&health.checks, deadline, &mut probe::probe)
}

type Try<'a> = &'a mut dyn FnMut(&Check, Duration) -> Result<(), String>;

fn rounds(checks: &[Check], deadline: Instant, pause: Duration, probe: Try<'_>) -> Result<(), String> {
    let mut last = String::new();
    loop {
        let Err(reason) = round(checks, deadline, probe) else { return Ok(()) };
        // A try that the deadline cut short says less than the last whole one.
        let reason = if Instant::now() >= deadline && !last.is_empty() { last.clone() } else { reason };
        if reason != last {
            say!("health: {reason}");
            last.clone_from(&reason);
        }
        if Instant::now() + pause >= deadline {
            return Err(reason);
        }
        std::thread::sleep(pause);
    }
}

fn round(checks: &[Check], deadline: Instant, probe: Try<'_>) -> Result<(), String> {
    for check in checks {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = Duration::from_secs(check.timeout_s.into()).min(left);
        if limit.is_zero() {
            return Err(format!("check {}: no time left before the deadline", check.name));
        }
        probe(check, limit).map_err(|reason| format!("check {}: {reason}", check.name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use image_format::manifest::Probe;

    use super::*;

    fn check(name: &str) -> Check {
        Check { name: name.to_owned(), timeout_s: 5, probe: Probe::Unit(format!("{name}.service")) }
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn all_must_pass_in_one_round() {
        let mut tries = Vec::new();
        let result = rounds(&[check("a"), check("b")], later(), Duration::ZERO, &mut |check, limit| {
            assert_eq!(limit, Duration::from_secs(5));
            tries.push(check.name.clone());
            if tries.len() == 2 { Err("not yet".to_owned()) } else { Ok(()) }
        });
        assert_eq!(result, Ok(()));
        assert_eq!(tries, ["a", "b", "a", "b"]);
    }

    #[test]
    fn the_deadline_names_the_check_and_its_last_whole_reason() {
        let mut tries = 0;
        let deadline = Instant::now() + Duration::from_millis(30);
        let result = rounds(&[check("a")], deadline, Duration::ZERO, &mut |_, limit| {
            tries += 1;
            if tries < 3 {
                return Err("down".to_owned());
            }
            std::thread::sleep(limit);
            Err("cut short".to_owned())
        });
        assert_eq!(result, Err("check a: down".to_owned()));
    }

    #[test]
    fn without_checks_a_running_system_is_healthy() {
        assert_eq!(rounds(&[], Instant::now(), Duration::ZERO, &mut |_, _| Err(String::new())), Ok(()));
    }
}

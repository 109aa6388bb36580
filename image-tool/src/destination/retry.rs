//! Trying again: when the other side says it is busy, and when the connection breaks.
//!
//! Waits double from 250 ms to 15 s, each shortened by up to half at random, so that many clients do not come back at
//! once. `Retry-After` is obeyed up to a minute. Every call may be repeated safely: objects are named by their content,
//! and a commit that is there already is accepted again.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Tries in all, of one who has had an answer before: it may be restarting.
pub(crate) const TRIES: u32 = 6;
/// Tries in all, of one who has never answered: more likely the address is wrong.
pub(crate) const FIRST_TRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// A server that asks for more than this is down for people.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Why a try failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It may work later; `after` is what the server asked for.
    Later {
        /// Reason.
        error: anyhow::Error,
        /// `Retry-After`.
        after: Option<Duration>,
    },
    /// It will not.
    Final(anyhow::Error),
}

impl From<Failed> for anyhow::Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Later { error, .. } | Failed::Final(error) => error,
        }
    }
}

/// Repeats `attempt` until it works, fails for good, or as many as `tries` says are over. `wait` sleeps.
///
/// [`Failed::Later`] then says that it is not known whether one of the tries had its effect.
pub(crate) fn retry<T>(
    tries: impl Fn() -> u32,
    mut attempt: impl FnMut() -> Result<T, Failed>,
    mut wait: impl FnMut(Duration),
) -> Result<T, Failed> {
    for done in 1.. {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(Failed::Final(error)) => return Err(Failed::Final(error)),
            Err(Failed::Later { error, after }) if done >= tries() => {
                return Err(Failed::Later {
                    error: error.context(format!("given up after {done} tries")),
                    after,
                });
            }
            Err(Failed::Later { after: Some(after), .. }) => wait(after.min(LONGEST_RETRY_AFTER)),
            Err(Failed::Later { after: None, .. }) => wait(shortened(backoff(done))),
        }
    }
    unreachable!("the numbers from 1 on do not end")
}

fn backoff(done: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << (done - 1).min(16)).min(LONGEST_WAIT)
}

/// Between half of `wait` and all of it.
fn shortened(wait: Duration) -> Duration {
    // RandomState is seeded by the operating system: enough to keep clients apart.
    let random = RandomState::new().hash_one(0) as u32;
    wait.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(after: Option<u64>) -> Failed {
        Failed::Later { error: anyhow::anyhow!("busy"), after: after.map(Duration::from_secs) }
    }

    #[test]
    fn a_busy_server_is_asked_again_after_its_own_time() {
        let mut waits = Vec::new();
        let mut left = 3;
        let attempt = || {
            left -= 1;
            if left > 0 { Err(later(Some(7))) } else { Ok("done") }
        };
        assert_eq!(retry(|| TRIES, attempt, |wait| waits.push(wait)).unwrap(), "done");
        assert_eq!(waits, [Duration::from_secs(7); 2]);
    }

    #[test]
    fn waits_grow_and_the_tries_end() {
        let mut waits = Vec::new();
        let error: anyhow::Error =
            retry(|| TRIES, || Err::<(), _>(later(None)), |wait| waits.push(wait)).unwrap_err().into();
        assert_eq!(format!("{error:#}"), "given up after 6 tries: busy");
        assert_eq!(waits.len(), 5);
        for (done, wait) in (1..).zip(&waits) {
            assert!(*wait <= backoff(done) && *wait >= backoff(done) / 2, "{done}: {wait:?}");
        }
        assert_eq!(backoff(100), LONGEST_WAIT);
        let mut waits = Vec::new();
        retry(|| TRIES, || Err::<(), _>(later(Some(9999))), |wait| waits.push(wait)).unwrap_err();
        assert_eq!(waits[0], LONGEST_RETRY_AFTER);
    }

    #[test]
    fn final_failures_are_final() {
        let mut tries = 0;
        let attempt = || {
            tries += 1;
            Err::<(), _>(Failed::Final(anyhow::anyhow!("no")))
        };
        assert!(matches!(retry(|| TRIES, attempt, |_| panic!("no wait")), Err(Failed::Final(_))));
        assert_eq!(tries, 1);
    }
}

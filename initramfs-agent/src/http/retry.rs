//! When to try again: exponential back-off with jitter, and what the server asks for.

use std::time::Duration;

/// Longest own pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A series of pauses: 0.25, 0.5, 1, 2, … 30 s, each shortened by up to half at random, so that a thousand nodes that
/// lost their server together do not come back together. What the server asks for is lengthened by up to a quarter for the same reason.
#[derive(Debug)]
pub struct Backoff {
    step: u32,
    random: u64,
}

impl Backoff {
    /// A new series; `seed` differs between nodes.
    pub fn new(seed: u64) -> Self {
        Self { step: 0, random: seed | 1 }
    }

    /// The next pause, at least what the server asked for.
    pub fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let full = Duration::from_millis(250).saturating_mul(1 << self.step.min(16)).min(PAUSE_MAX);
        self.step += 1;
        let own = full / 2 + full.mul_f64(0.5 * self.fraction());
        let asked = retry_after.map(|asked| asked + asked.mul_f64(0.25 * self.fraction()));
        own.max(asked.unwrap_or_default())
    }

    /// A number in 0..1 (xorshift; only for spreading).
    pub fn fraction(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        f64::from(u32::try_from(self.random >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }
}

/// A seed from the kernel's random numbers; the clock when there are none yet.
pub fn seed() -> u64 {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK) {
        Ok(8) => u64::from_ne_bytes(bytes),
        _ => u64::try_from(crate::console::uptime().as_nanos()).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_spread() {
        let mut backoff = Backoff::new(7);
        for step in 0..40 {
            let full = Duration::from_millis(250 << step.min(10)).min(PAUSE_MAX);
            let pause = backoff.next(None);
            assert!(pause >= full / 2 && pause <= full, "step {step}: {pause:?} of {full:?}");
        }
        assert_ne!(Backoff::new(3).next(None), Backoff::new(500).next(None));
    }

    #[test]
    fn the_servers_wish_is_a_lower_bound() {
        let asked = Duration::from_secs(8);
        let pauses: Vec<Duration> =
            (0..50).map(|node| Backoff::new(node * 7919 + 3).next(Some(asked))).collect();
        assert!(pauses.iter().all(|pause| *pause >= asked && *pause <= asked * 5 / 4), "{pauses:?}");
        let (first, last) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
        assert!(*last - *first > Duration::from_secs(1), "{first:?} to {last:?}: they come back together");
    }
}

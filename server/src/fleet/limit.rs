//! How often one address may ask to enrol: a bucket that fills slowly, and that a wrong token empties sixteen times as fast.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a bucket holds: many nodes may stand behind one NAT address.
const FULL: f64 = 256.0;
/// What comes back per second.
const PER_SECOND: f64 = 4.0;
/// What one request takes.
pub const REQUEST: f64 = 1.0;
/// What a wrong token takes on top: 128 random bits could not be guessed anyway, but the attempts fill logs.
pub const WRONG_TOKEN: f64 = 15.0;
/// Most addresses that are told apart; the others share one bucket.
const ADDRESSES_MAX: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Limiter(Mutex<HashMap<Option<IpAddr>, Bucket>>);

#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    fn now(self, now: Instant) -> f64 {
        (self.level + now.saturating_duration_since(self.at).as_secs_f64() * PER_SECOND).min(FULL)
    }
}

impl Limiter {
    /// Takes `cost` from the bucket of `address`; what is left may be less than nothing only after [`Self::charge`].
    ///
    /// # Errors
    /// How long to wait.
    pub fn take(&self, address: IpAddr, cost: f64, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ADDRESSES_MAX {
            buckets.retain(|_, bucket| bucket.now(now) < FULL);
        }
        let own = buckets.len() < ADDRESSES_MAX || buckets.contains_key(&Some(address));
        let bucket = buckets.entry(own.then_some(address)).or_insert(Bucket { level: FULL, at: now });
        let level = bucket.now(now);
        if level < cost {
            return Err(Duration::from_secs_f64((cost - level) / PER_SECOND));
        }
        *bucket = Bucket { level: level - cost, at: now };
        Ok(())
    }

    /// Takes `cost`, whatever is left.
    pub fn charge(&self, address: IpAddr, cost: f64, now: Instant) {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = buckets.contains_key(&Some(address));
        if let Some(bucket) = buckets.get_mut(&own.then_some(address)) {
            *bucket = Bucket { level: (bucket.now(now) - cost).max(0.0), at: now };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let (limiter, start) = (Limiter::default(), Instant::now());
        let (one, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        for _ in 0..256 {
            assert_eq!(limiter.take(one, REQUEST, start), Ok(()));
        }
        assert_eq!(limiter.take(one, REQUEST, start), Err(Duration::from_millis(250)));
        assert_eq!(limiter.take(other, REQUEST, start), Ok(()), "another address has its own");
        assert_eq!(limiter.take(one, REQUEST, start + Duration::from_secs(1)), Ok(()));
        let later = start + Duration::from_secs(3600);
        let tries = (0..).take_while(|_| {
            let let_in = limiter.take(one, REQUEST, later).is_ok();
            limiter.charge(one, WRONG_TOKEN, later);
            let_in
        });
        assert_eq!(tries.count(), 16, "sixteen wrong tokens empty it");
    }

    #[test]
    fn addresses_beyond_the_bound_share_a_bucket() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        for number in 0..20_000_u32 {
            let _ = limiter.take(IpAddr::V4(number.into()), REQUEST, now);
        }
        assert_eq!(limiter.0.lock().unwrap().len(), ADDRESSES_MAX + 1);
        assert!(limiter.take("1.2.3.4".parse().unwrap(), REQUEST, now).is_err());
    }
}

//! What time it is, for a machine whose clock may be wrong.
//!
//! A node has a clock that may stand at 1970 for want of a battery, or anywhere else. It is believed except where something that was
//! signed says that it is later already: then that is the time. So expiry is never checked against a time before the newest
//! signed one. A clock that is ahead makes metadata look expired: that blocks updates and is reported, and never keeps a slot
//! that was verified from booting.

use std::time::{SystemTime, UNIX_EPOCH};

use signing::UnixTime;

use crate::say;

/// The time that expiry is checked against: the machine's clock, but not before `newest_signed`.
pub fn now(newest_signed: Option<UnixTime>) -> UnixTime {
    let clock = unix_time(SystemTime::now());
    let time = not_before(clock, newest_signed);
    if time != clock {
        say!("clock: says {clock}, but {time} was signed: using that");
    }
    time
}

/// A clock before 1970 counts as 1970.
fn unix_time(clock: SystemTime) -> UnixTime {
    let seconds = clock.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    UnixTime(i64::try_from(seconds).unwrap_or(i64::MAX))
}

fn not_before(clock: UnixTime, newest_signed: Option<UnixTime>) -> UnixTime {
    newest_signed.map_or(clock, |newest| newest.max(clock))
}

/// A signed time as a lower bound for every later clock; none when it lies beyond the end of the timestamp that vouches for it.
/// Such a time comes from a machine whose own clock was ahead, and would make a node take all metadata for expired, for good.
pub fn bound(signed: UnixTime, timestamp_expires: UnixTime) -> Option<UnixTime> {
    (signed < timestamp_expires).then_some(signed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SIGNED: UnixTime = UnixTime(1_800_000_000);

    #[test]
    fn no_time_before_the_newest_signed_one() {
        for clock in [0, 1, SIGNED.0 - 1] {
            assert_eq!(not_before(UnixTime(clock), Some(SIGNED)), SIGNED);
            assert_eq!(not_before(UnixTime(clock), None), UnixTime(clock));
        }
        // The ends of 32 bits with and without a sign, and of four digits of year.
        for clock in [SIGNED.0, 2_147_483_647, 2_147_483_648, 4_294_967_296, 253_402_300_800, i64::MAX] {
            assert_eq!(not_before(UnixTime(clock), Some(SIGNED)), UnixTime(clock));
        }
    }

    #[test]
    fn every_clock_can_be_read() {
        assert_eq!(unix_time(UNIX_EPOCH), UnixTime(0));
        assert_eq!(unix_time(UNIX_EPOCH - Duration::from_secs(1)), UnixTime(0));
        assert_eq!(unix_time(UNIX_EPOCH + Duration::from_secs(1 << 33)), UnixTime(1 << 33));
        assert!(now(Some(UnixTime(i64::MAX))) == UnixTime(i64::MAX));
    }

    #[test]
    fn a_time_beyond_its_own_end_binds_nobody() {
        assert_eq!(bound(SIGNED, SIGNED.plus_days(1)), Some(SIGNED));
        assert_eq!(bound(SIGNED, SIGNED), None);
        assert_eq!(bound(SIGNED.plus_days(40_000), SIGNED), None);
    }
}

//! When something is to be signed: pure.

use image_format::repository::Renewal;
use signing::UnixTime;
use signing::online::OnlineLifetimes;

use super::LastSigned;

/// By how much a clock may go back without a word, in seconds: time servers correct it by less.
const BACKWARD_MAX: i64 = 600;

/// How often, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Seconds between two timestamps.
    every: i64,
    lifetimes: OnlineLifetimes,
    /// Sign also when the clock is behind what was signed last.
    accept_earlier_clock: bool,
}

/// Times that do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A timestamp would not outlive a failed attempt.
    #[error("expected a timestamp at least every {} s, as it is valid for {lifetime} s, found every {every} s", lifetime / 2)]
    Every {
        /// Seconds between two timestamps.
        every: i64,
        /// Seconds that one is valid.
        lifetime: i64,
    },
    /// The timestamp speaks of the snapshot: it cannot be valid for longer.
    #[error(
        "expected a snapshot that is valid for at least twice as long as a timestamp ({timestamp} s), found {snapshot} s"
    )]
    Snapshot {
        /// Seconds that a timestamp is valid.
        timestamp: i64,
        /// Seconds that a snapshot is valid.
        snapshot: i64,
    },
}

/// The clock is behind what was signed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the clock says {now}, but the last timestamp was signed at {signed}: one of the two is wrong; set the clock, or, if it is right now, start the server once with --accept-earlier-clock"
)]
pub struct ClockError {
    /// What the clock says.
    pub now: UnixTime,
    /// When the last timestamp was signed.
    pub signed: UnixTime,
}

/// What is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    /// Version of the timestamp.
    pub timestamp: u64,
    /// End of the timestamp.
    pub timestamp_expires: UnixTime,
    /// End of the snapshot.
    pub snapshot_expires: UnixTime,
}

impl Default for Plan {
    /// Hourly, for a day; snapshots for a week.
    fn default() -> Self {
        let lifetimes = OnlineLifetimes { snapshot: 7 * 86_400, timestamp: 86_400 };
        Self { every: 3600, lifetimes, accept_earlier_clock: false }
    }
}

impl Plan {
    /// A timestamp `every` so many seconds.
    ///
    /// # Errors
    /// [`PlanError`]: one failed attempt must not let anything expire.
    pub fn new(every: i64, lifetimes: OnlineLifetimes) -> Result<Self, PlanError> {
        let OnlineLifetimes { snapshot, timestamp } = lifetimes;
        if every < 1 || every > timestamp / 2 {
            return Err(PlanError::Every { every, lifetime: timestamp });
        }
        if snapshot / 2 < timestamp {
            return Err(PlanError::Snapshot { timestamp, snapshot });
        }
        Ok(Self { every, lifetimes, accept_earlier_clock: false })
    }

    /// The same, believing a clock that is behind what was signed last.
    #[must_use]
    pub fn accept_earlier_clock(self, accept: bool) -> Self {
        Self { accept_earlier_clock: accept, ..self }
    }

    /// For how long what is signed is valid.
    pub fn lifetimes(&self) -> OnlineLifetimes {
        self.lifetimes
    }

    /// Whether the clock can be believed.
    ///
    /// # Errors
    /// [`ClockError`].
    pub fn check_clock(&self, last: Option<&LastSigned>, now: UnixTime) -> Result<(), ClockError> {
        match last {
            Some(last) if !self.accept_earlier_clock && now.plus_seconds(BACKWARD_MAX) < last.at => {
                Err(ClockError { now, signed: last.at })
            }
            _ => Ok(()),
        }
    }
}

/// What is to be signed now, if anything.
///
/// # Errors
/// [`ClockError`].
pub fn due(
    plan: &Plan,
    present: &Present,
    last: Option<&LastSigned>,
    now: UnixTime,
) -> Result<Option<Renewal>, ClockError> {
    plan.check_clock(last, now)?;
    let half = |expires: UnixTime, lifetime: i64| expires.0.saturating_sub(now.0) < lifetime / 2;
    if half(present.snapshot_expires, plan.lifetimes.snapshot) {
        return Ok(Some(Renewal::Snapshot));
    }
    // A timestamp that was not signed here is replaced: its time was somebody else's.
    let signed = last.filter(|last| last.timestamp == present.timestamp).map(|last| last.at);
    let is_old = signed
        .is_none_or(|at| now >= at.plus_seconds(plan.every) || at.0 > now.0.saturating_add(BACKWARD_MAX));
    let is_due = is_old || half(present.timestamp_expires, plan.lifetimes.timestamp);
    Ok(is_due.then_some(Renewal::Timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn present(timestamp_expires: i64, snapshot_expires: i64) -> Present {
        let (timestamp_expires, snapshot_expires) =
            (NOW.plus_seconds(timestamp_expires), NOW.plus_seconds(snapshot_expires));
        Present { timestamp: 7, timestamp_expires, snapshot_expires }
    }

    fn last(timestamp: u64, ago: i64) -> Option<LastSigned> {
        Some(LastSigned { timestamp, at: NOW.plus_seconds(-ago) })
    }

    #[test]
    fn a_timestamp_every_hour_and_a_snapshot_at_half_of_its_week() {
        let plan = Plan::default();
        let due = |present, last: Option<LastSigned>| due(&plan, &present, last.as_ref(), NOW).unwrap();
        let week = 7 * 86_400;
        assert_eq!(due(present(82_801, week), last(7, 3599)), None);
        assert_eq!(due(present(82_800, week), last(7, 3600)), Some(Renewal::Timestamp));
        assert_eq!(due(present(82_801, week / 2), last(7, 3599)), None);
        assert_eq!(due(present(82_801, week / 2 - 1), last(7, 3599)), Some(Renewal::Snapshot));
        assert_eq!(due(present(-5, -5), last(7, 86_405)), Some(Renewal::Snapshot));
        // Shorter lived than the plan says: somebody has changed the plan.
        assert_eq!(due(present(43_199, week), last(7, 10)), Some(Renewal::Timestamp));
        // Signed by an admin, for a month; nothing is known of it here.
        assert_eq!(due(present(30 * 86_400, week), None), Some(Renewal::Timestamp));
        assert_eq!(due(present(30 * 86_400, week), last(6, 10)), Some(Renewal::Timestamp));
    }

    #[test]
    fn a_clock_that_went_back_signs_nothing() {
        let plan = Plan::default();
        let present = present(90_000, 7 * 86_400);
        assert_eq!(due(&plan, &present, last(7, -600).as_ref(), NOW), Ok(None));
        let error = due(&plan, &present, last(7, -601).as_ref(), NOW).unwrap_err();
        assert_eq!(error, ClockError { now: NOW, signed: NOW.plus_seconds(601) });
        assert!(error.to_string().contains("--accept-earlier-clock"), "{error}");
        // Also in the year 1970, with metadata that is far from its end.
        let error = due(&plan, &present, last(7, 0).as_ref(), UnixTime(0)).unwrap_err();
        assert_eq!(error.signed, NOW);
        let believing = plan.accept_earlier_clock(true);
        assert_eq!(due(&believing, &present, last(7, -601).as_ref(), NOW), Ok(Some(Renewal::Timestamp)));
    }

    #[test]
    fn plans_that_let_metadata_expire_are_refused() {
        let plan = |every, timestamp, snapshot| Plan::new(every, OnlineLifetimes { snapshot, timestamp });
        assert_eq!(plan(3600, 86_400, 604_800), Ok(Plan::default()));
        assert!(plan(43_200, 86_400, 172_800).is_ok());
        assert_eq!(plan(43_201, 86_400, 604_800), Err(PlanError::Every { every: 43_201, lifetime: 86_400 }));
        assert_eq!(plan(0, 86_400, 604_800), Err(PlanError::Every { every: 0, lifetime: 86_400 }));
        let short = PlanError::Snapshot { timestamp: 86_400, snapshot: 172_798 };
        assert_eq!(plan(60, 86_400, 172_798), Err(short));
    }
}

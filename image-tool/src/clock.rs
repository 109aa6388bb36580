//! The time, asked for in one place.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use signing::UnixTime;

/// Now.
pub(crate) fn now() -> anyhow::Result<UnixTime> {
    let since =
        SystemTime::now().duration_since(UNIX_EPOCH).context("read the clock: it stands before 1970")?;
    i64::try_from(since.as_secs()).map(UnixTime).context("read the clock: it stands beyond all dates")
}

//! Dates for people.

use signing::UnixTime;

/// `2026-11-20` of seconds since 1970.
pub(crate) fn day(seconds: i64) -> String {
    UnixTime(seconds).to_string().chars().take(10).collect()
}

/// How long ago an RFC 3339 moment in UTC was, `3 min ago`; the text itself if it is something else.
pub(crate) fn ago(moment: &str, now: UnixTime) -> String {
    // Fractions of a second are of no interest; UnixTime has none.
    let whole = moment.split_once('.').map_or_else(|| moment.to_owned(), |(whole, _)| format!("{whole}Z"));
    let Ok(then) = whole.parse::<UnixTime>() else { return moment.chars().take(40).collect() };
    match now.0.saturating_sub(then.0) {
        ..0 => "in the future".to_owned(),
        seconds @ 0..120 => format!("{seconds} s ago"),
        seconds @ 120..7200 => format!("{} min ago", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_as_people_do() {
        let now: UnixTime = "2026-11-20T12:00:00Z".parse().unwrap();
        for (moment, text) in [
            ("2026-11-20T11:59:57Z", "3 s ago"),
            ("2026-11-20T11:59:57.123Z", "3 s ago"),
            ("2026-11-20T11:00:00Z", "60 min ago"),
            ("2026-11-19T12:00:00Z", "24 h ago"),
            ("2026-11-01T12:00:00Z", "19 days ago"),
            ("2026-11-21T12:00:00Z", "in the future"),
            ("never", "never"),
        ] {
            assert_eq!(ago(moment, now), text);
        }
        assert_eq!(day(0), "1970-01-01");
    }
}

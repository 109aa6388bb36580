//! Warning before signed metadata ends.

use image_format::repository::View;
use signing::UnixTime;

use crate::ui::Ui;

/// Days before the end when people are told.
const WARN_DAYS: i64 = 7;

/// Warns if anything in `view` has expired or will soon. `completes`: snapshot and timestamp are signed here; else a server signs
/// them again and again, and what was last heard of them says nothing.
pub(crate) fn warn(ui: &Ui, view: &View, completes: bool, now: UnixTime) {
    let is_ours = |role: &str| completes || !matches!(role, "snapshot" | "timestamp");
    let ours = view.expiries.iter().filter(|(role, _)| is_ours(role));
    let first = ours.min_by_key(|(_, expires)| **expires);
    if let Some(text) = first.and_then(|(role, expires)| text(role, *expires, now)) {
        ui.warn(&text);
    }
}

fn text(role: &str, expires: UnixTime, now: UnixTime) -> Option<String> {
    let what = match expires {
        _ if expires <= now => "has expired: nodes take no update",
        _ if expires <= now.plus_days(WARN_DAYS) => "expires soon",
        _ => return None,
    };
    Some(format!("{role} metadata {what} (valid until {expires}); run `imgtool renew`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_a_week_before() {
        let now = UnixTime(1_790_000_000);
        assert_eq!(text("timestamp", now.plus_days(8), now), None);
        assert!(text("timestamp", now.plus_days(6), now).unwrap().contains("expires soon"));
        assert!(text("timestamp", now, now).unwrap().contains("has expired"));
    }
}

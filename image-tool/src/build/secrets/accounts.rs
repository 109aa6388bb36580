//! Hashes of passwords in the lists of accounts and in their backups.

use std::sync::LazyLock;

use regex::Regex;

/// passwd(5), shadow(5), group(5), gshadow(5), opasswd of pam_unix, and copies of them.
static LISTS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:etc|var/backups|usr/share/factory/etc)/(?:security/)?(?:shadow|gshadow|passwd|group|opasswd)(?:[-.~][^/]*)?$")
        .expect("the pattern is a constant, and a test builds it")
});
/// Most accounts named.
const NAMED_MAX: usize = 5;

/// The accounts in the list at `path` that have a password.
pub(super) fn look(path: &str, bytes: &[u8]) -> Option<(&'static str, String)> {
    if !LISTS.is_match(path) {
        return None;
    }
    // opasswd has earlier passwords in its fourth field: name, uid, count, hashes.
    let field = if path.contains("/opasswd") { 3 } else { 1 };
    let text = String::from_utf8_lossy(bytes);
    let mut names: Vec<&str> = text
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let password = fields.nth(field - 1)?;
            is_hash(password).then_some(name)
        })
        .collect();
    if names.is_empty() {
        return None;
    }
    let more = names.len().saturating_sub(NAMED_MAX);
    names.truncate(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(("password hash", format!("of {}{more}", names.join(", "))))
}

/// Whether a password field is more than a mark: `*`, `!` and `x` lock or point elsewhere, and a lock may stand before a hash.
fn is_hash(field: &str) -> bool {
    !matches!(field.trim_start_matches('!'), "" | "*" | "x")
}

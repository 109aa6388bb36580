//! Lengths of time on the command line: `90s`, `15m`, `24h`, `7d`.

use std::time::Duration;

/// Longest: a hundred years.
const MAX: u64 = 100 * 365 * 24 * 3600;

/// Reads a number with a unit; `0` needs none.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let expected = || format!("expected a number with s, m, h or d, such as 24h, found {text:?}");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (split, unit) = text.char_indices().next_back().ok_or_else(expected)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(expected()),
    };
    let digits = &text[..split];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(expected());
    }
    let number: Option<u64> = digits.parse().ok().and_then(|number: u64| number.checked_mul(seconds));
    match number {
        Some(number) if number <= MAX => Ok(Duration::from_secs(number)),
        _ => Err("expected at most 36500d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units() {
        for (text, seconds) in
            [("0", 0), ("0s", 0), ("90s", 90), ("15m", 900), ("24h", 86_400), ("36500d", MAX)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "1", "h", "-1h", "+1h", "1.5h", "1 h", "1w", "1h2m", "36501d", "99999999999999999999d", "1µ"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

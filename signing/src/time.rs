//! Time as metadata uses it: whole seconds, UTC, one text form (`2030-01-02T03:04:05Z`).

use std::fmt;
use std::str::FromStr;

use ::time::format_description::BorrowedFormatItem;
use ::time::macros::format_description;
use ::time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const TEXT_LEN: usize = "2030-01-02T03:04:05Z".len();
/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z: what four digits of year can say.
const RANGE: (i64, i64) = (-62_167_219_200, 253_402_300_799);

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub i64);

/// A text that is not exactly `YYYY-MM-DDTHH:MM:SSZ` or names no real moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("time {0:?} is not of the form 2030-01-02T03:04:05Z")]
pub struct TimeError(String);

impl UnixTime {
    /// This moment plus `seconds`; stays at the end of the representable range instead of wrapping.
    pub fn plus_seconds(self, seconds: i64) -> UnixTime {
        UnixTime(self.0.saturating_add(seconds))
    }

    /// This moment plus `days` of 86 400 seconds.
    pub fn plus_days(self, days: i64) -> UnixTime {
        self.plus_seconds(days.saturating_mul(86_400))
    }
}

impl FromStr for UnixTime {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let error = || TimeError(text.chars().take(40).collect());
        // The length check refuses the signs that the year component would allow.
        if text.len() != TEXT_LEN {
            return Err(error());
        }
        let moment = PrimitiveDateTime::parse(text, FORMAT).map_err(|_| error())?;
        Ok(UnixTime(moment.assume_offset(UtcOffset::UTC).unix_timestamp()))
    }
}

impl fmt::Display for UnixTime {
    /// Moments that four digits of year cannot say are shown as the nearest end of that range.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.clamp(RANGE.0, RANGE.1);
        let moment = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| fmt::Error)?;
        f.write_str(&moment.format(FORMAT).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for UnixTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UnixTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{RANGE, UnixTime};

    #[test]
    fn known_moments() {
        assert_eq!("1970-01-01T00:00:00Z".parse(), Ok(UnixTime(0)));
        assert_eq!("2024-02-29T12:00:01Z".parse(), Ok(UnixTime(1_709_208_001)));
        assert_eq!(UnixTime(1_709_208_001).to_string(), "2024-02-29T12:00:01Z");
        assert_eq!(UnixTime(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(UnixTime(i64::MIN).to_string(), "0000-01-01T00:00:00Z");
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:60Z",
            "2024-01-01T00:00:00z",
            "2024-01-01t00:00:00Z",
            "2024-01-01 00:00:00Z",
            "2024-01-01T00:00:00+00:00",
            "2024-01-01T00:00:00.5Z",
            "+024-01-01T00:00:00Z",
            "-024-01-01T00:00:00Z",
            "2024-1-001T00:00:00Z",
            " 2024-01-01T00:00:0Z",
        ] {
            assert!(text.parse::<UnixTime>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(seconds in RANGE.0..=RANGE.1) {
            prop_assert_eq!(UnixTime(seconds).to_string().parse(), Ok(UnixTime(seconds)));
        }

        #[test]
        fn any_text_is_refused_or_is_its_own_canonical_form(text in "[-+0-9TZ:. ]{0,24}") {
            if let Ok(moment) = text.parse::<UnixTime>() {
                prop_assert_eq!(moment.to_string(), text);
            }
        }
    }
}

//! Which boot of a machine a message comes from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest boot id, in characters.
const BOOT_ID_MAX: usize = 36;

/// The kernel's random id of this boot (`/proc/sys/kernel/random/boot_id`): 1 to 36 of `0-9 a-f -`.
///
/// The boots of one machine follow each other. Messages of two boots in turn come from two machines.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BootId(String);

/// A text that is no boot id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("boot id: expected 1 to {BOOT_ID_MAX} of 0-9 a-f -, found {found:?}")]
pub struct BootIdError {
    found: String,
}

impl FromStr for BootId {
    type Err = BootIdError;

    fn from_str(text: &str) -> Result<Self, BootIdError> {
        let fits = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
        if (1..=BOOT_ID_MAX).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BootIdError { found: text.chars().take(80).collect() })
        }
    }
}

impl TryFrom<String> for BootId {
    type Error = BootIdError;

    fn try_from(text: String) -> Result<Self, BootIdError> {
        text.parse()
    }
}

impl From<BootId> for String {
    fn from(id: BootId) -> Self {
        id.0
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_kernel_writes() {
        let id = "0f8e9d5c-1b1a-4c5e-9d7b-0a1b2c3d4e5f";
        assert_eq!(id.parse::<BootId>().unwrap().to_string(), id);
        for bad in ["", "g", "A", "a b", "a\n", &"a".repeat(37)] {
            assert!(bad.parse::<BootId>().is_err(), "{bad:?}");
        }
    }
}

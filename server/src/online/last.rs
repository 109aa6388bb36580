//! When the timestamp in force was signed: what the metadata itself does not say.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use signing::UnixTime;

use crate::atomic::atomic_write;

/// Name of the file in the data directory, which can be written where the keys can only be read.
const FILE: &str = "last-signed.json";

/// The last signature by this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastSigned {
    /// Version of the timestamp.
    pub timestamp: u64,
    /// What the clock said.
    pub at: UnixTime,
}

impl LastSigned {
    /// Reads it from the data directory; none if it is not there or not readable: then the next timestamp is signed at once.
    pub fn load(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(dir.join(FILE)).ok()?).ok()
    }

    /// Keeps it, durably.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn save(&self, dir: &Path) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        atomic_write(&dir.join(FILE), &bytes, 0o600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_and_damage_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(LastSigned::load(dir.path()), None);
        let last = LastSigned { timestamp: 7, at: UnixTime(1_800_000_000) };
        last.save(dir.path()).unwrap();
        assert_eq!(LastSigned::load(dir.path()), Some(last));
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text, "{\"timestamp\":7,\"at\":\"2027-01-15T08:00:00Z\"}\n");
        std::fs::write(dir.path().join(FILE), "{\"timestamp\":7").unwrap();
        assert_eq!(LastSigned::load(dir.path()), None);
    }
}

//! What the record says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use signing::UnixTime;

use crate::state::BootState;
use crate::{Group, ImageName, Manifest, NodeId, Role, Sha256};

/// The value of [`Record::format`] that this code reads and writes.
pub const RECORD_FORMAT: u32 = 1;

/// An image as the record names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRef {
    /// `role@version`, for people.
    pub name: ImageName,
    /// SHA-256 of the manifest: the identity.
    pub manifest: Sha256,
    /// Release counter.
    pub counter: u64,
}

impl ImageRef {
    /// The image that `manifest`, whose bytes have the digest `digest`, describes.
    pub fn of(manifest: &Manifest, digest: Sha256) -> Self {
        Self { name: manifest.name.clone(), manifest: digest, counter: manifest.counter }
    }
}

/// Where the server is, as last used: what a boot from the local disk has to go by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Servers {
    /// Base URL of the delivery listener.
    pub delivery: Option<String>,
    /// Base URL of the admin listener, for reports.
    pub admin: Option<String>,
}

/// Verified TUF files as their verbatim text, which is UTF-8 by being JSON. They are verified again after every load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedText {
    /// The newest root.
    pub root: String,
    /// `timestamp.json`.
    pub timestamp: Option<String>,
    /// Snapshot.
    pub snapshot: Option<String>,
    /// Top-level targets.
    pub targets: Option<String>,
    /// Delegated targets by role name.
    pub delegated: BTreeMap<String, String>,
    /// The assignments target.
    pub assignments: Option<String>,
    /// The pin target of this node's group.
    pub pin: Option<String>,
}

/// Lowest release counter by role that this node still installs. It only rises.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Floors(BTreeMap<Role, u64>);

impl Floors {
    /// The floor of `role`; 0 when none was raised.
    pub fn of(&self, role: &Role) -> u64 {
        self.0.get(role).copied().unwrap_or(0)
    }
}

/// What the server said when it took this node in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The node's public key at that time, 64 hexadecimal digits: shows that the state partition was wiped since.
    pub key: String,
    /// The group of the join token; it counts where signed assignments do not name the node.
    pub group: Option<Group>,
}

/// The record. Fields that are not known are skipped: after a fall-back, an older agent must read what a newer one wrote, and
/// forgetting the new field is better than forgetting the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Always [`RECORD_FORMAT`].
    pub format: u32,
    /// This node.
    pub node: Option<NodeId>,
    /// Where the server is.
    pub servers: Servers,
    /// Slots, preference, quarantine, last failure.
    pub state: BootState,
    /// The newest verified TUF files.
    pub trusted: Option<TrustedText>,
    /// The roots from the one after that in the initramfs up to the newest, so that each boot can follow the chain anew.
    #[serde(default)]
    pub roots: Vec<String>,
    /// Boots in a row that brought no verdict. A confirmed slot boots without being counted; many of these say that it may be
    /// damaged on the disk.
    #[serde(default)]
    pub unfinished_boots: u8,
    /// The node's enrolment; none before.
    #[serde(default)]
    pub enrolled: Option<Enrolled>,
    floors: Floors,
    newest_time: Option<UnixTime>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            format: RECORD_FORMAT,
            node: None,
            servers: Servers::default(),
            state: BootState::default(),
            trusted: None,
            roots: Vec::new(),
            unfinished_boots: 0,
            enrolled: None,
            floors: Floors::default(),
            newest_time: None,
        }
    }
}

impl Record {
    /// The floors raised so far.
    pub fn floors(&self) -> &Floors {
        &self.floors
    }

    /// Raises the floor of `role` to the signed `floor`, but only when the confirmed image that boots by preference is of this
    /// role and not below it: a floor that rises earlier would lock out the only image that works. Says whether it rose.
    pub fn raise_floor(&mut self, role: &Role, floor: u64) -> bool {
        let confirmed = self.state.preferred_image();
        let allowed = confirmed.is_some_and(|image| image.name.role == *role && image.counter >= floor);
        let rises = allowed && floor > self.floors.of(role);
        if rises {
            self.floors.0.insert(role.clone(), floor);
        }
        rises
    }

    /// The newest time that was signed or seen. A clock that says less is wrong.
    pub const fn newest_time(&self) -> Option<UnixTime> {
        self.newest_time
    }

    /// Notes a time from signed metadata or from a clock that was trusted. Earlier times change nothing.
    pub fn saw_time(&mut self, time: UnixTime) {
        self.newest_time = self.newest_time.max(Some(time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Slot;
    use crate::test_images::image;

    #[test]
    fn the_floor_rises_only_after_confirmation() {
        let role: Role = "ha".parse().unwrap();
        let mut record = Record::default();
        assert!(!record.raise_floor(&role, 2));
        record.state.begin_install(Slot::A, &image("ha@3", 3), None).unwrap();
        record.state.installed(Slot::A, 3).unwrap();
        assert!(!record.raise_floor(&role, 2));
        record.state.begin_boot(Slot::A).unwrap();
        record.state.confirm(Slot::A).unwrap();
        assert!(!record.raise_floor(&role, 4), "the confirmed image itself is below");
        assert!(!record.raise_floor(&"base".parse().unwrap(), 1));
        assert!(record.raise_floor(&role, 2));
        assert!(!record.raise_floor(&role, 1), "never down");
        assert_eq!(record.floors().of(&role), 2);
    }

    #[test]
    fn a_newer_agents_fields_do_not_cost_the_record() {
        let mut value = signing::json::to_value(&Record::default()).unwrap();
        let signing::Value::Object(fields) = &mut value else { panic!("a record is an object") };
        fields.insert("tomorrow".to_owned(), signing::Value::Int(1));
        fields.remove("unfinished_boots");
        fields.remove("roots");
        fields.remove("enrolled");
        assert_eq!(signing::from_value::<Record>(&value), Ok(Record::default()));
    }

    #[test]
    fn time_never_goes_back() {
        let mut record = Record::default();
        record.saw_time(UnixTime(100));
        record.saw_time(UnixTime(50));
        assert_eq!(record.newest_time(), Some(UnixTime(100)));
    }
}

//! The roles of a Bascule repository and their secret keys.

use std::collections::BTreeMap;

use crate::key::{Key, KeyId, PublicKey};
use crate::online::{OnlineKeys, OnlineRole};
use crate::secret::SecretKey;

/// A role of a Bascule repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleName {
    /// Keys of the top-level roles.
    Root,
    /// Delegations and the floor.
    Targets,
    /// Image manifests.
    Releases,
    /// Pins and assignments.
    Pins,
    /// Versions that belong together.
    Snapshot,
    /// The current snapshot.
    Timestamp,
}

/// The secret keys at hand. A role that is not to be written may be left empty.
#[derive(Debug, Default)]
pub struct RoleKeys {
    /// Keys of root; after a rotation also the old ones, which must sign the change.
    pub root: Vec<SecretKey>,
    /// Keys of the top-level targets.
    pub targets: Vec<SecretKey>,
    /// Keys of releases.
    pub releases: Vec<SecretKey>,
    /// Keys of pins.
    pub pins: Vec<SecretKey>,
    /// Keys of snapshot.
    pub snapshot: Vec<SecretKey>,
    /// Keys of timestamp.
    pub timestamp: Vec<SecretKey>,
}

impl RoleName {
    /// All roles, the most precious first.
    pub const ALL: [RoleName; 6] = [
        RoleName::Root,
        RoleName::Targets,
        RoleName::Releases,
        RoleName::Pins,
        RoleName::Snapshot,
        RoleName::Timestamp,
    ];

    /// The name in metadata and in file names.
    pub fn as_str(self) -> &'static str {
        match self {
            RoleName::Root => "root",
            RoleName::Targets => "targets",
            RoleName::Releases => "releases",
            RoleName::Pins => "pins",
            RoleName::Snapshot => "snapshot",
            RoleName::Timestamp => "timestamp",
        }
    }
}

impl RoleKeys {
    /// The keys of one role.
    pub fn of(&self, role: RoleName) -> &[SecretKey] {
        match role {
            RoleName::Root => &self.root,
            RoleName::Targets => &self.targets,
            RoleName::Releases => &self.releases,
            RoleName::Pins => &self.pins,
            RoleName::Snapshot => &self.snapshot,
            RoleName::Timestamp => &self.timestamp,
        }
    }

    /// The keys of one role, to add to.
    pub fn of_mut(&mut self, role: RoleName) -> &mut Vec<SecretKey> {
        match role {
            RoleName::Root => &mut self.root,
            RoleName::Targets => &mut self.targets,
            RoleName::Releases => &mut self.releases,
            RoleName::Pins => &mut self.pins,
            RoleName::Snapshot => &mut self.snapshot,
            RoleName::Timestamp => &mut self.timestamp,
        }
    }

    /// The public halves of one role's keys.
    pub fn public(&self, role: RoleName) -> Vec<PublicKey> {
        self.of(role).iter().map(SecretKey::public).collect()
    }

    /// The keys of snapshot and timestamp.
    pub fn online(&self) -> OnlineKeys {
        let mut online = OnlineKeys::default();
        for role in OnlineRole::ALL {
            let keys = match role {
                OnlineRole::Snapshot => &self.snapshot,
                OnlineRole::Timestamp => &self.timestamp,
            };
            keys.iter().for_each(|key| online.add(role, key.clone()));
        }
        online
    }

    pub(super) fn table(&self, roles: &[RoleName]) -> BTreeMap<KeyId, Key> {
        let keys = roles.iter().flat_map(|role| self.public(*role));
        keys.map(|key| (key.id(), key.to_key())).collect()
    }
}

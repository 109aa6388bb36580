//! What a key signs.

use std::fmt;

use serde::{Deserialize, Serialize};
use signing::repo::{RoleName, Section};

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyRole {
    /// Who signs for the other roles
    Root,
    /// The two delegations and the release-counter floors
    Targets,
    /// Images
    Releases,
    /// Pins and assignments
    Pins,
    /// Which metadata belongs together
    Snapshot,
    /// Which snapshot is the newest
    Timestamp,
}

impl KeyRole {
    /// All of them, from the most to the least precious.
    pub(crate) const ALL: [Self; 6] =
        [Self::Root, Self::Targets, Self::Releases, Self::Pins, Self::Snapshot, Self::Timestamp];

    /// The role in the words of the metadata.
    pub(crate) const fn role(self) -> RoleName {
        match self {
            Self::Root => RoleName::Root,
            Self::Targets => RoleName::Targets,
            Self::Releases => RoleName::Releases,
            Self::Pins => RoleName::Pins,
            Self::Snapshot => RoleName::Snapshot,
            Self::Timestamp => RoleName::Timestamp,
        }
    }
}

impl From<Section> for KeyRole {
    fn from(section: Section) -> Self {
        match section {
            Section::Targets => Self::Targets,
            Section::Releases => Self::Releases,
            Section::Pins => Self::Pins,
        }
    }
}

impl From<RoleName> for KeyRole {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Root => Self::Root,
            RoleName::Targets => Self::Targets,
            RoleName::Releases => Self::Releases,
            RoleName::Pins => Self::Pins,
            RoleName::Snapshot => Self::Snapshot,
            RoleName::Timestamp => Self::Timestamp,
        }
    }
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.role().as_str())
    }
}

//! The state machine of the two slots.
//!
//! ```text
//!            begin_install          installed            begin_boot (left − 1)
//!   any ───────────────────▶ Writing ──────▶ Trial{left} ◀───────────────┐
//!    ▲                                        │  │  └────────────────────┘
//!    │                          roll_back     │  │ confirm
//!    │  Bad ◀──(left = 0, quarantine)─────────┘  ▼
//!    │   ▲                                   Confirmed ──▶ preferred
//!    └───┴───────── damaged ────────────────────┘  │ flip (only when not preferred)
//!                                                  └────▶ Trial{left}
//! ```
//!
//! Every transition changes memory only and leaves the state as it was when it refuses; [`crate::record::save`] persists.
//! The caller saves before it acts: before the first byte of a slot is written, before a trial is booted.
//!
//! What holds in every state, also when the power goes between any two saves (checked over all reachable states in the tests):
//!
//! * the preferred slot is confirmed, is never written and stays bootable; there is one as soon as anything was confirmed;
//! * a slot is bootable only when it was written and read back completely;
//! * an image that was rolled back is not installed and not booted again until it is released;
//! * a trial boots at most as often as its manifest allows;
//! * after a roll-back the preferred slot boots, and it stays up whatever its health says later.

mod decide;
#[cfg(test)]
mod every_state;
#[cfg(test)]
mod exhaustive;
mod transitions;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::ImageRef;
use crate::{Sha256, Slot};

pub use self::decide::{Arrival, Decision, Note, Wanted, decide};
pub use self::transitions::IllegalTransition;

/// What a slot holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum SlotState {
    /// Nothing.
    #[default]
    Empty,
    /// Unknown bytes: an installation is under way or was interrupted.
    Writing {
        /// What is being written.
        image: ImageRef,
    },
    /// Written and read back; to be tried.
    Trial {
        /// What it holds.
        image: ImageRef,
        /// How often it may be booted in all, at least 1.
        attempts: u8,
        /// How often it may still be booted.
        left: u8,
    },
    /// Booted and healthy once.
    Confirmed {
        /// What it holds.
        image: ImageRef,
    },
    /// Not to be booted.
    Bad {
        /// What it held.
        image: ImageRef,
        /// Why it is bad.
        reason: String,
    },
}

impl SlotState {
    /// The image in the slot, or on its way into it.
    pub const fn image(&self) -> Option<&ImageRef> {
        match self {
            Self::Empty => None,
            Self::Writing { image }
            | Self::Trial { image, .. }
            | Self::Confirmed { image }
            | Self::Bad { image, .. } => Some(image),
        }
    }

    /// Whether the slot may be started now: the one predicate for that.
    pub const fn is_bootable(&self) -> bool {
        matches!(self, Self::Confirmed { .. } | Self::Trial { left: 1.., .. })
    }
}

/// Both slots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Slots {
    a: SlotState,
    b: SlotState,
}

/// An image that is not tried again on this node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantined {
    /// Which.
    pub image: ImageRef,
    /// Why.
    pub reason: String,
}

/// The last verdict against an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Which image.
    pub image: ImageRef,
    /// What failed.
    pub reason: String,
}

/// The state of both slots. Fields are private: only transitions change them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct BootState {
    preferred: Option<Slot>,
    slots: Slots,
    quarantine: BTreeMap<Sha256, Quarantined>,
    last_failure: Option<Failure>,
    handover: Option<Slot>,
}

/// [`BootState`] before its rules were checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    preferred: Option<Slot>,
    slots: Slots,
    quarantine: BTreeMap<Sha256, Quarantined>,
    last_failure: Option<Failure>,
    handover: Option<Slot>,
}

impl TryFrom<Raw> for BootState {
    type Error = &'static str;

    fn try_from(raw: Raw) -> Result<Self, Self::Error> {
        let Raw { preferred, slots, quarantine, last_failure, handover } = raw;
        let state = Self { preferred, slots, quarantine, last_failure, handover };
        state.check().map(|()| state)
    }
}

impl BootState {
    /// The rules that every reachable state keeps: what a record from a disk is held against.
    fn check(&self) -> Result<(), &'static str> {
        let confirmed = |slot| matches!(self.slot(slot), SlotState::Confirmed { .. });
        match self.preferred {
            Some(slot) if !confirmed(slot) => return Err("the preferred slot is not confirmed"),
            None if Slot::ALL.into_iter().any(confirmed) => {
                return Err("a slot is confirmed and none is preferred");
            }
            _ => {}
        }
        for slot in Slot::ALL {
            match self.slot(slot) {
                SlotState::Trial { attempts, left, .. } if *attempts == 0 || left > attempts => {
                    return Err("a trial has more attempts left than it began with");
                }
                SlotState::Trial { image, .. } if self.quarantine.contains_key(&image.manifest) => {
                    return Err("a quarantined image is on trial");
                }
                _ => {}
            }
        }
        let startable =
            |slot| matches!(self.slot(slot), SlotState::Confirmed { .. } | SlotState::Trial { .. });
        if self.handover.is_some_and(|slot| !startable(slot)) {
            return Err("a kexec is on its way to a slot that holds nothing");
        }
        if self.quarantine.iter().any(|(key, entry)| *key != entry.image.manifest) {
            return Err("a quarantine entry stands under another digest");
        }
        Ok(())
    }

    /// The state of `slot`.
    pub const fn slot(&self, slot: Slot) -> &SlotState {
        match slot {
            Slot::A => &self.slots.a,
            Slot::B => &self.slots.b,
        }
    }

    /// The slot that boots when there is no reason for another: the last one confirmed.
    pub const fn preferred(&self) -> Option<Slot> {
        self.preferred
    }

    /// The image in the preferred slot.
    pub fn preferred_image(&self) -> Option<&ImageRef> {
        self.slot(self.preferred?).image()
    }

    /// Why `manifest` is in quarantine, if it is.
    pub fn quarantined(&self, manifest: &Sha256) -> Option<&Quarantined> {
        self.quarantine.get(manifest)
    }

    /// All images in quarantine.
    pub fn quarantine(&self) -> impl Iterator<Item = &Quarantined> {
        self.quarantine.values()
    }

    /// The last verdict against an image that booted.
    pub const fn last_failure(&self) -> Option<&Failure> {
        self.last_failure.as_ref()
    }

    /// The slot that a kexec is on its way to.
    pub const fn handover(&self) -> Option<Slot> {
        self.handover
    }

    /// Which attempt of its trial the boot of `slot` now is, 1 = first; none when the slot is not on trial or was not booted.
    pub const fn attempt(&self, slot: Slot) -> Option<u8> {
        match self.slot(slot) {
            SlotState::Trial { attempts, left, .. } if *left < *attempts => Some(*attempts - *left),
            _ => None,
        }
    }
}

//! What a node does next.

use std::fmt;

use super::{BootState, SlotState};
use crate::Slot;
use crate::record::{ImageRef, Record};

/// What verified metadata want this node to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The image.
    pub image: ImageRef,
    /// How often its manifest lets it be tried.
    pub attempts: u8,
}

/// How the running agent was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// By firmware: from the network or by the local boot loader.
    Firmware,
    /// By a kexec of an agent that had decided.
    Kexec,
}

/// The next step. After every one but `Boot`, `Continue` and `Nothing` the caller applies the transition, saves, and asks again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Apply [`BootState::begin_boot`] (or [`BootState::begin_kexec`] when the slot has another kernel), save, start the slot.
    Boot {
        /// Which.
        slot: Slot,
        /// Whether the image has yet to prove itself.
        trial: bool,
        /// Why the wanted image is not what boots.
        note: Option<Note>,
    },
    /// Apply [`BootState::arrived`], save, start the slot without another kexec: the attempt is counted already.
    Continue {
        /// Which.
        slot: Slot,
    },
    /// Apply [`BootState::begin_install`], save, write the slot, apply [`BootState::installed`], save.
    Install {
        /// Where.
        slot: Slot,
        /// What.
        image: ImageRef,
    },
    /// Apply [`BootState::flip`], save: the wanted image lies in the slot, confirmed earlier.
    FlipTo {
        /// Which.
        slot: Slot,
    },
    /// Apply [`BootState::roll_back`], save, report: the trial's attempts are used up.
    RollBack {
        /// Which.
        slot: Slot,
    },
    /// No slot can be booted.
    Nothing {
        /// Why not.
        note: Note,
    },
}

/// Why something else than the wanted image boots, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Nothing is wanted: no server, no group, no pin, or metadata that do not verify.
    NothingWanted,
    /// The wanted image was rolled back on this node.
    Quarantined {
        /// The wanted image.
        image: ImageRef,
        /// Why it was rolled back.
        reason: String,
    },
    /// The wanted image is below the release floor that this node has confirmed.
    BelowFloor {
        /// The wanted image.
        image: ImageRef,
        /// The floor.
        floor: u64,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingWanted => f.write_str("no image is known to be wanted"),
            Self::Quarantined { image, reason } => {
                write!(f, "{} was rolled back on this node and is not tried again: {reason}", image.name)
            }
            Self::BelowFloor { image, floor } => {
                write!(f, "{} has release counter {}, below the floor {floor}", image.name, image.counter)
            }
        }
    }
}

/// Decides. Total: every record and every wish has exactly one answer.
pub fn decide(record: &Record, wanted: Option<&Wanted>, arrival: Arrival) -> Decision {
    let state = &record.state;
    if let (Arrival::Kexec, Some(slot)) = (arrival, state.handover) {
        return Decision::Continue { slot };
    }
    // First of all, so that no later rule can boot or keep a trial that is used up.
    if let Some(slot) = find(state, |slot| matches!(slot, SlotState::Trial { left: 0, .. })) {
        return Decision::RollBack { slot };
    }
    let Some(Wanted { image, .. }) = wanted else {
        return fall_back(state, Note::NothingWanted);
    };
    if let Some(slot) = state.preferred
        && state.preferred_image().is_some_and(|preferred| preferred.manifest == image.manifest)
    {
        return Decision::Boot { slot, trial: false, note: None };
    }
    if let Some(entry) = state.quarantined(&image.manifest) {
        return fall_back(state, Note::Quarantined { image: image.clone(), reason: entry.reason.clone() });
    }
    let floor = record.floors().of(&image.name.role);
    if image.counter < floor {
        return fall_back(state, Note::BelowFloor { image: image.clone(), floor });
    }
    let holds = |slot: &SlotState| slot.image().is_some_and(|held| held.manifest == image.manifest);
    if let Some(slot) = find(state, |slot| holds(slot) && matches!(slot, SlotState::Trial { .. })) {
        return Decision::Boot { slot, trial: true, note: None };
    }
    if let Some(slot) = find(state, |slot| holds(slot) && matches!(slot, SlotState::Confirmed { .. })) {
        return Decision::FlipTo { slot };
    }
    Decision::Install { slot: target(state, image), image: image.clone() }
}

/// The preferred slot, else a trial with attempts left.
fn fall_back(state: &BootState, note: Note) -> Decision {
    let trial = || find(state, SlotState::is_bootable).map(|slot| (slot, true));
    match state.preferred.map(|slot| (slot, false)).or_else(trial) {
        Some((slot, trial)) => Decision::Boot { slot, trial, note: Some(note) },
        None => Decision::Nothing { note },
    }
}

/// Where to install: never the preferred slot. Without one, where the image's installation was interrupted, else where least
/// is lost.
fn target(state: &BootState, image: &ImageRef) -> Slot {
    if let Some(slot) = state.preferred {
        return !slot;
    }
    let cost = |slot: &Slot| match state.slot(*slot) {
        SlotState::Writing { image: held } if held.manifest == image.manifest => 0,
        SlotState::Empty => 1,
        SlotState::Writing { .. } => 2,
        SlotState::Bad { .. } => 3,
        SlotState::Trial { .. } | SlotState::Confirmed { .. } => 4,
    };
    if cost(&Slot::B) < cost(&Slot::A) { Slot::B } else { Slot::A }
}

fn find(state: &BootState, wanted: impl Fn(&SlotState) -> bool) -> Option<Slot> {
    Slot::ALL.into_iter().find(|slot| wanted(state.slot(*slot)))
}

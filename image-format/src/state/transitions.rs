//! The transitions.

use super::{BootState, Failure, Quarantined, SlotState};
use crate::record::ImageRef;
use crate::{Sha256, Slot};

/// Longest reason kept, in characters: reasons travel in the record and in reports.
const REASON_MAX: usize = 300;

/// A transition that the rules do not allow. The state is as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("slot {slot}: {transition} refused: {reason}")]
pub struct IllegalTransition {
    /// Which slot.
    pub slot: Slot,
    /// Which transition.
    pub transition: &'static str,
    /// Why not.
    pub reason: String,
}

fn cut(reason: &str) -> String {
    reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_MAX).collect()
}

impl BootState {
    /// The state of a node whose record was lost, from the slots that were verified completely. With two of them the one with
    /// the lower release counter counts as confirmed and the other one is tried again: if it is a bad one, it falls back.
    pub fn rebuilt(verified: Vec<(Slot, ImageRef)>, attempts: u8) -> Self {
        let mut verified = verified;
        verified.sort_by_key(|(_, image)| image.counter);
        let mut state = Self::default();
        let mut verified = verified.into_iter();
        if let Some((slot, image)) = verified.next() {
            *state.slot_mut(slot) = SlotState::Confirmed { image };
            state.preferred = Some(slot);
        }
        let other = verified.find(|(slot, image)| {
            state.preferred != Some(*slot)
                && state.preferred_image().is_some_and(|preferred| preferred.manifest != image.manifest)
        });
        if let Some((slot, image)) = other {
            let attempts = attempts.max(1);
            *state.slot_mut(slot) = SlotState::Trial { image, attempts, left: attempts };
        }
        state
    }

    /// `slot` is about to be overwritten with `image`. Save before the first byte.
    ///
    /// # Errors
    /// When `slot` is preferred or `running`, or `image` is in quarantine.
    pub fn begin_install(
        &mut self,
        slot: Slot,
        image: &ImageRef,
        running: Option<Slot>,
    ) -> Result<(), IllegalTransition> {
        let refuse = |reason: String| IllegalTransition { slot, transition: "install", reason };
        if self.preferred == Some(slot) {
            return Err(refuse("it is the slot confirmed last".to_owned()));
        }
        if running == Some(slot) {
            return Err(refuse("it is running".to_owned()));
        }
        if let Some(entry) = self.quarantine.get(&image.manifest) {
            return Err(refuse(format!("{} is in quarantine: {}", image.name, entry.reason)));
        }
        *self.slot_mut(slot) = SlotState::Writing { image: image.clone() };
        self.handover = self.handover.filter(|to| *to != slot);
        Ok(())
    }

    /// `slot` was written, flushed and read back; it may be booted `attempts` times (at least once) before it must be confirmed.
    ///
    /// # Errors
    /// When the slot was not being written, or its image came into quarantine meanwhile.
    pub fn installed(&mut self, slot: Slot, attempts: u8) -> Result<(), IllegalTransition> {
        match self.slot(slot) {
            SlotState::Writing { image } if !self.quarantine.contains_key(&image.manifest) => {
                let image = image.clone();
                self.begin_trial(slot, image, attempts);
                Ok(())
            }
            _ => Err(self.illegal(slot, "end of installation")),
        }
    }

    /// The image that `slot` holds, confirmed earlier, is wanted again: it is tried anew without a download.
    ///
    /// # Errors
    /// When the slot is preferred, not confirmed, or its image is in quarantine.
    pub fn flip(&mut self, slot: Slot, attempts: u8) -> Result<(), IllegalTransition> {
        match self.slot(slot) {
            SlotState::Confirmed { image }
                if self.preferred != Some(slot) && !self.quarantine.contains_key(&image.manifest) =>
            {
                let image = image.clone();
                self.begin_trial(slot, image, attempts);
                Ok(())
            }
            _ => Err(self.illegal(slot, "flip")),
        }
    }

    fn begin_trial(&mut self, slot: Slot, image: ImageRef, attempts: u8) {
        self.forget_failure(&image);
        let attempts = attempts.max(1);
        *self.slot_mut(slot) = SlotState::Trial { image, attempts, left: attempts };
    }

    /// `slot` is about to be started. Counts an attempt; save before starting. Gives the number of the attempt for a trial.
    ///
    /// # Errors
    /// When the slot is not bootable.
    pub fn begin_boot(&mut self, slot: Slot) -> Result<Option<u8>, IllegalTransition> {
        if !self.slot(slot).is_bootable() {
            return Err(self.illegal(slot, "boot"));
        }
        if let SlotState::Trial { left, .. } = self.slot_mut(slot) {
            *left -= 1;
        }
        self.handover = None;
        Ok(self.attempt(slot))
    }

    /// As [`BootState::begin_boot`], but the slot's own kernel is started by kexec: the agent that then runs continues with this
    /// slot and counts no further attempt.
    ///
    /// # Errors
    /// When the slot is not bootable.
    pub fn begin_kexec(&mut self, slot: Slot) -> Result<Option<u8>, IllegalTransition> {
        let attempt = self.begin_boot(slot)?;
        self.handover = Some(slot);
        Ok(attempt)
    }

    /// The kexec to `slot` arrived. Save before going on, so that no later boot takes itself for this one.
    ///
    /// # Errors
    /// When no kexec to this slot was begun.
    pub fn arrived(&mut self, slot: Slot) -> Result<Option<u8>, IllegalTransition> {
        if self.handover != Some(slot) {
            return Err(self.illegal(slot, "arrival by kexec"));
        }
        self.handover = None;
        Ok(self.attempt(slot))
    }

    /// The running `slot` is healthy: it is preferred from now on.
    ///
    /// # Errors
    /// When the slot was not booted, or holds nothing bootable.
    pub fn confirm(&mut self, slot: Slot) -> Result<(), IllegalTransition> {
        let image = match self.slot(slot) {
            SlotState::Trial { image, attempts, left } if left < attempts => image.clone(),
            SlotState::Confirmed { image } => image.clone(),
            _ => return Err(self.illegal(slot, "confirmation")),
        };
        self.forget_failure(&image);
        *self.slot_mut(slot) = SlotState::Confirmed { image };
        self.preferred = Some(slot);
        Ok(())
    }

    /// The running `slot` is not healthy. This is remembered as the reason; the slot stays as it is: a trial runs out of attempts
    /// by being booted, a confirmed slot stays up.
    ///
    /// # Errors
    /// When the slot holds nothing that can be running.
    pub fn fail(&mut self, slot: Slot, reason: &str) -> Result<(), IllegalTransition> {
        match self.slot(slot) {
            SlotState::Trial { image, .. } | SlotState::Confirmed { image } => {
                self.last_failure = Some(Failure { image: image.clone(), reason: cut(reason) });
                Ok(())
            }
            _ => Err(self.illegal(slot, "failure")),
        }
    }

    /// The trial in `slot` has no attempts left: its image goes into quarantine. Gives the entry.
    ///
    /// # Errors
    /// When the slot is not on trial or has attempts left.
    pub fn roll_back(&mut self, slot: Slot) -> Result<Quarantined, IllegalTransition> {
        let SlotState::Trial { image, attempts, left: 0 } = self.slot(slot) else {
            return Err(self.illegal(slot, "roll-back"));
        };
        let image = image.clone();
        let reason = match &self.last_failure {
            Some(failure) if failure.image.manifest == image.manifest => failure.reason.clone(),
            _ => format!("no verdict: the system hung, crashed or was switched off {attempts} times"),
        };
        let entry = Quarantined { image: image.clone(), reason: reason.clone() };
        *self.slot_mut(slot) = SlotState::Bad { image: image.clone(), reason: reason.clone() };
        self.handover = self.handover.filter(|to| *to != slot);
        // Its twin, if somebody put it into both slots: a record with a quarantined image on trial would not be read again.
        if matches!(self.slot(!slot), SlotState::Trial { image: twin, .. } if twin.manifest == image.manifest)
        {
            *self.slot_mut(!slot) = SlotState::Bad { image: image.clone(), reason };
            self.handover = None;
        }
        self.quarantine.insert(image.manifest, entry.clone());
        Ok(entry)
    }

    /// What `slot` holds turned out to be damaged on the disk. The image is not to blame and may be installed again. The other
    /// slot becomes preferred if it was confirmed once.
    ///
    /// # Errors
    /// When the slot was not bootable anyway.
    pub fn damaged(&mut self, slot: Slot, reason: &str) -> Result<(), IllegalTransition> {
        let image = match self.slot(slot) {
            SlotState::Trial { image, .. } | SlotState::Confirmed { image } => image.clone(),
            _ => return Err(self.illegal(slot, "damage")),
        };
        *self.slot_mut(slot) = SlotState::Bad { image, reason: cut(reason) };
        self.handover = self.handover.filter(|to| *to != slot);
        if self.preferred == Some(slot) {
            let other = !slot;
            self.preferred = matches!(self.slot(other), SlotState::Confirmed { .. }).then_some(other);
        }
        Ok(())
    }

    /// An admin says that `manifest` may be tried again. Says whether it was in quarantine.
    pub fn release(&mut self, manifest: &Sha256) -> bool {
        self.quarantine.remove(manifest).is_some()
    }

    fn forget_failure(&mut self, image: &ImageRef) {
        if self.last_failure.as_ref().is_some_and(|failure| failure.image.manifest == image.manifest) {
            self.last_failure = None;
        }
    }

    const fn slot_mut(&mut self, slot: Slot) -> &mut SlotState {
        match slot {
            Slot::A => &mut self.slots.a,
            Slot::B => &mut self.slots.b,
        }
    }

    fn illegal(&self, slot: Slot, transition: &'static str) -> IllegalTransition {
        let preferred = if self.preferred == Some(slot) { ", preferred" } else { "" };
        let reason = match self.slot(slot) {
            SlotState::Empty => "it is empty".to_owned(),
            SlotState::Writing { image } => format!("{} is being written to it", image.name),
            SlotState::Trial { image, attempts, left } => {
                format!("{} is on trial, {left} of {attempts} attempts left", image.name)
            }
            SlotState::Confirmed { image } => format!("{} is confirmed{preferred}", image.name),
            SlotState::Bad { image, reason } => format!("{} is bad: {reason}", image.name),
        };
        IllegalTransition { slot, transition, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_images::image;

    fn confirmed_a() -> BootState {
        BootState::rebuilt(vec![(Slot::A, image("ha@1", 1))], 3)
    }

    #[test]
    fn each_transition_refuses_where_it_must_and_leaves_the_state() {
        let mut state = confirmed_a();
        let before = state.clone();
        let new = image("ha@2", 2);
        let text = |result: Result<(), IllegalTransition>| result.unwrap_err().to_string();
        assert_eq!(
            text(state.begin_install(Slot::A, &new, None)),
            "slot A: install refused: it is the slot confirmed last"
        );
        assert_eq!(
            text(state.begin_install(Slot::B, &new, Some(Slot::B))),
            "slot B: install refused: it is running"
        );
        assert_eq!(text(state.installed(Slot::B, 3)), "slot B: end of installation refused: it is empty");
        assert_eq!(text(state.flip(Slot::A, 3)), "slot A: flip refused: ha@1 is confirmed, preferred");
        assert_eq!(text(state.begin_boot(Slot::B).map(drop)), "slot B: boot refused: it is empty");
        assert_eq!(
            text(state.arrived(Slot::A).map(drop)),
            "slot A: arrival by kexec refused: ha@1 is confirmed, preferred"
        );
        assert_eq!(text(state.confirm(Slot::B)), "slot B: confirmation refused: it is empty");
        assert_eq!(text(state.fail(Slot::B, "x")), "slot B: failure refused: it is empty");
        assert_eq!(
            text(state.roll_back(Slot::A).map(drop)),
            "slot A: roll-back refused: ha@1 is confirmed, preferred"
        );
        assert_eq!(text(state.damaged(Slot::B, "x")), "slot B: damage refused: it is empty");
        assert_eq!(state, before);
        state.begin_install(Slot::B, &new, Some(Slot::A)).unwrap();
        state.installed(Slot::B, 2).unwrap();
        assert_eq!(
            text(state.confirm(Slot::B)),
            "slot B: confirmation refused: ha@2 is on trial, 2 of 2 attempts left"
        );
    }

    #[test]
    fn a_trial_that_fails_is_quarantined_with_its_last_reason() {
        let mut state = confirmed_a();
        let new = image("ha@2", 2);
        state.begin_install(Slot::B, &new, Some(Slot::A)).unwrap();
        state.installed(Slot::B, 2).unwrap();
        assert_eq!(state.begin_boot(Slot::B), Ok(Some(1)));
        state.fail(Slot::B, "check web: connection refused").unwrap();
        assert_eq!(state.begin_boot(Slot::B), Ok(Some(2)));
        assert!(state.begin_boot(Slot::B).is_err());
        let entry = state.roll_back(Slot::B).unwrap();
        assert_eq!(entry.reason, "check web: connection refused");
        assert!(state.begin_install(Slot::B, &new, None).unwrap_err().reason.contains("in quarantine"));
        assert!(state.release(&new.manifest));
        assert!(state.begin_install(Slot::B, &new, None).is_ok());
    }

    #[test]
    fn a_trial_in_both_slots_is_quarantined_in_both() {
        let mut state = BootState::default();
        let new = image("ha@2", 2);
        for slot in Slot::ALL {
            state.begin_install(slot, &new, None).unwrap();
            state.installed(slot, 1).unwrap();
        }
        state.begin_boot(Slot::A).unwrap();
        state.roll_back(Slot::A).unwrap();
        assert!(Slot::ALL.into_iter().all(|slot| matches!(state.slot(slot), SlotState::Bad { .. })));
        assert_eq!(state.check(), Ok(()), "the record is read again");
    }

    #[test]
    fn a_trial_without_a_verdict_says_so() {
        let mut state = confirmed_a();
        state.fail(Slot::A, "of another image").unwrap();
        state.begin_install(Slot::B, &image("ha@2", 2), None).unwrap();
        state.installed(Slot::B, 0).unwrap();
        assert_eq!(state.begin_kexec(Slot::B), Ok(Some(1)), "0 attempts count as 1");
        let reason = state.roll_back(Slot::B).unwrap().reason;
        assert_eq!(reason, "no verdict: the system hung, crashed or was switched off 1 times");
    }

    #[test]
    fn damage_moves_the_preference_and_blames_no_image() {
        let mut state = confirmed_a();
        let new = image("ha@2", 2);
        state.begin_install(Slot::B, &new, None).unwrap();
        state.installed(Slot::B, 3).unwrap();
        state.begin_boot(Slot::B).unwrap();
        state.confirm(Slot::B).unwrap();
        assert_eq!(state.preferred(), Some(Slot::B));
        state.damaged(Slot::B, "dm-verity").unwrap();
        assert_eq!(state.preferred(), Some(Slot::A));
        assert!(state.begin_install(Slot::B, &new, Some(Slot::A)).is_ok());
        state.damaged(Slot::A, "dm-verity").unwrap();
        assert_eq!(state.preferred(), None);
    }

    #[test]
    fn json_that_breaks_a_rule_is_refused() {
        let mut state = confirmed_a();
        state.begin_install(Slot::B, &image("ha@2", 2), None).unwrap();
        state.installed(Slot::B, 3).unwrap();
        let good = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<BootState>(&good).unwrap(), state);
        for (from, to, why) in [
            (r#""preferred":"a""#, r#""preferred":"b""#, "preferred slot is not confirmed"),
            (r#""preferred":"a""#, r#""preferred":null"#, "none is preferred"),
            (r#""left":3"#, r#""left":4"#, "more attempts left"),
            (r#""handover""#, r#""hand":1,"handover""#, "unknown field `hand`"),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good);
            let error = serde_json::from_str::<BootState>(&bad).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_lost_record_is_rebuilt_with_a_way_back() {
        let (old, new) = (image("ha@1", 1), image("ha@2", 2));
        let state = BootState::rebuilt(vec![(Slot::A, new.clone()), (Slot::B, old)], 3);
        assert_eq!(state.preferred(), Some(Slot::B));
        assert_eq!(state.slot(Slot::A), &SlotState::Trial { image: new, attempts: 3, left: 3 });
        assert_eq!(BootState::rebuilt(Vec::new(), 3), BootState::default());
    }
}

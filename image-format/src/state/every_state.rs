//! Every state that the rules allow, reachable or not, with every transition and every decision.
//!
//! What a record from a disk may say is more than what a node reaches by itself: an older agent, a newer one, a rebuilt record.
//! No such state leads to one that breaks the rules, and none is without a way on.

use super::{Arrival, BootState, Decision, IllegalTransition, SlotState, Slots, Wanted, decide};
use crate::Slot;
use crate::device::sim::Tally;
use crate::record::{ImageRef, Record};
use crate::state::{Failure, Quarantined};
use crate::test_images::image;

const ATTEMPTS: u8 = 2;

fn images() -> [ImageRef; 3] {
    [image("ha@1", 1), image("ha@2", 2), image("ha@3", 3)]
}

fn slots(images: &[ImageRef]) -> Vec<SlotState> {
    let mut all = vec![SlotState::Empty];
    for image in images {
        let image = || image.clone();
        all.push(SlotState::Writing { image: image() });
        all.extend((0..=ATTEMPTS).map(|left| SlotState::Trial { image: image(), attempts: ATTEMPTS, left }));
        all.push(SlotState::Confirmed { image: image() });
        all.push(SlotState::Bad { image: image(), reason: "bad".to_owned() });
    }
    all
}

/// All states over two images that [`BootState::check`] lets pass.
fn states() -> Vec<BootState> {
    let images = images();
    let slots = slots(&images[..2]);
    let places = [None, Some(Slot::A), Some(Slot::B)];
    let failures = [None, Some(Failure { image: images[0].clone(), reason: "unhealthy".to_owned() })];
    let mut all = Vec::new();
    for a in &slots {
        for b in &slots {
            for (preferred, handover) in places.iter().flat_map(|one| places.map(|other| (*one, other))) {
                for (kept, last_failure) in
                    (0..4).flat_map(|kept| failures.iter().map(move |one| (kept, one)))
                {
                    let of = |(_, image): (usize, &ImageRef)| {
                        let entry = Quarantined { image: image.clone(), reason: "bad".to_owned() };
                        (image.manifest, entry)
                    };
                    let quarantine = images[..2]
                        .iter()
                        .enumerate()
                        .filter(|(place, _)| kept >> place & 1 == 1)
                        .map(of)
                        .collect();
                    let slots = Slots { a: a.clone(), b: b.clone() };
                    let last_failure = last_failure.clone();
                    let state = BootState { preferred, slots, quarantine, last_failure, handover };
                    if state.check().is_ok() {
                        all.push(state);
                    }
                }
            }
        }
    }
    all
}

type Change<'a> = Box<dyn Fn(&mut BootState) -> Result<(), IllegalTransition> + 'a>;

/// Every transition with every argument that makes a difference.
fn transitions<'i>(images: &'i [ImageRef]) -> Vec<(String, Change<'i>)> {
    let mut all = Vec::new();
    for slot in Slot::ALL {
        let mut add = |name: &str, change: Change<'i>| all.push((format!("{name} {slot}"), change));
        for image in images {
            for running in [None, Some(Slot::A), Some(Slot::B)] {
                add("begin_install", Box::new(move |state| state.begin_install(slot, image, running)));
            }
        }
        for attempts in [0, ATTEMPTS] {
            add("installed", Box::new(move |state| state.installed(slot, attempts)));
            add("flip", Box::new(move |state| state.flip(slot, attempts)));
        }
        add("begin_boot", Box::new(move |state| state.begin_boot(slot).map(drop)));
        add("begin_kexec", Box::new(move |state| state.begin_kexec(slot).map(drop)));
        add("arrived", Box::new(move |state| state.arrived(slot).map(drop)));
        add("confirm", Box::new(move |state| state.confirm(slot)));
        add("fail", Box::new(move |state| state.fail(slot, "unhealthy")));
        add("roll_back", Box::new(move |state| state.roll_back(slot).map(drop)));
        add("damaged", Box::new(move |state| state.damaged(slot, "rotten")));
    }
    for image in images {
        let release = move |state: &mut BootState| {
            state.release(&image.manifest);
            Ok(())
        };
        all.push((format!("release {}", image.name), Box::new(release)));
    }
    all
}

fn ensure(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn judge(before: &BootState, name: &str, after: &BootState, refused: bool) -> Result<(), String> {
    after.check()?;
    ensure(!refused || after == before, "a refused transition changed the state")?;
    let preferred = before.preferred();
    let same_preferred = preferred.is_none_or(|slot| after.slot(slot) == before.slot(slot));
    ensure(name.starts_with("damaged") || same_preferred, "the preferred slot changed")?;
    ensure(
        name.starts_with("damaged") || preferred.is_none() || after.preferred().is_some(),
        "nothing is preferred any more",
    )?;
    let keeps = before.quarantine().all(|entry| after.quarantined(&entry.image.manifest).is_some());
    ensure(name.starts_with("release") || keeps, "an image left quarantine by itself")?;
    for slot in Slot::ALL {
        let became_bootable = after.slot(slot).is_bootable() && !before.slot(slot).is_bootable();
        let by_right =
            name.starts_with("installed") || name.starts_with("flip") || name.starts_with("confirm");
        ensure(
            !became_bootable || by_right,
            "a slot became bootable by something else than an installation",
        )?;
        let tries = |state: &BootState| match state.slot(slot) {
            SlotState::Trial { left, .. } => Some(*left),
            _ => None,
        };
        if let (Some(was), Some(is)) = (tries(before), tries(after)) {
            ensure(is <= was, "a trial gained attempts")?;
        }
    }
    // The record that is saved is read again as the same.
    let text = serde_json::to_string(after).map_err(|error| error.to_string())?;
    let read: BootState = serde_json::from_str(&text).map_err(|error| format!("{text}: {error}"))?;
    ensure(read == *after, "another state is read than was saved")
}

/// The power goes before or after the one save that belongs to a transition: the state is the old or the new one, and both keep
/// the rules.
#[test]
fn every_transition_of_every_state_keeps_the_rules() {
    let images = images();
    let transitions = transitions(&images);
    let mut tally = Tally::new("boot state, every state and every transition, cut before and after its save");
    for before in states() {
        for (name, change) in &transitions {
            let mut after = before.clone();
            let refused = change(&mut after).is_err();
            tally.check(format_args!("{name} of {before:?}"), || judge(&before, name, &after, refused));
        }
    }
    assert!(tally.states() > 70_000, "{}", tally.states());
    tally.finish();
}

/// Steps until something boots or nothing can, with every wish: the transition that a decision asks for is never refused.
fn boots(state: &BootState, wanted: Option<&ImageRef>, arrival: Arrival) -> Result<u32, String> {
    let mut record = Record::default();
    record.state.clone_from(state);
    let wanted = wanted.map(|image| Wanted { image: image.clone(), attempts: ATTEMPTS });
    let mut arrival = arrival;
    for step in 0..12 {
        let decision = decide(&record, wanted.as_ref(), arrival);
        arrival = Arrival::Firmware;
        let state = &mut record.state;
        let quarantined = |state: &BootState, slot| {
            state.slot(slot).image().is_some_and(|image| state.quarantined(&image.manifest).is_some())
        };
        let done = match &decision {
            Decision::Boot { slot, trial, .. } => {
                ensure(!trial || !quarantined(state, *slot), "a quarantined image is tried")?;
                ensure(state.slot(*slot).is_bootable(), "not bootable")?;
                return state.begin_boot(*slot).map(|_| step).map_err(|error| error.to_string());
            }
            Decision::Continue { slot } => {
                return state.arrived(*slot).map(|_| step).map_err(|error| error.to_string());
            }
            Decision::Nothing { .. } => {
                return ensure(state.preferred().is_none(), "a confirmed slot is not booted").map(|()| step);
            }
            Decision::Install { slot, image } => {
                ensure(state.preferred() != Some(*slot), "the preferred slot is to be written")?;
                ensure(
                    state.quarantined(&image.manifest).is_none(),
                    "a quarantined image is to be installed",
                )?;
                state.begin_install(*slot, image, None).and_then(|()| state.installed(*slot, ATTEMPTS))
            }
            Decision::FlipTo { slot } => state.flip(*slot, ATTEMPTS),
            Decision::RollBack { slot } => state.roll_back(*slot).map(drop),
        };
        done.map_err(|error| error.to_string())?;
        record.state.check()?;
    }
    Err("no boot after twelve steps".to_owned())
}

#[test]
fn every_state_decides_something_that_the_rules_allow_and_comes_to_an_end() {
    let images = images();
    let mut tally = Tally::new("boot state, every state and every wish");
    let mut most = 0;
    for state in states() {
        for wanted in images.iter().map(Some).chain([None]) {
            for arrival in [Arrival::Firmware, Arrival::Kexec] {
                let name = wanted.map(|image| image.name.to_string());
                tally.check(format_args!("{name:?}, {arrival:?} of {state:?}"), || {
                    boots(&state, wanted, arrival).map(|steps| most = most.max(steps))
                });
            }
        }
    }
    println!("at most {most} steps to a boot");
    tally.finish();
}

//! Every reachable state of a node, with a crash possible after every step.
//!
//! The model is the agent's loop around [`decide`], with everything that the world may do as a free choice at each step: which
//! of three images is wanted or none, whether an installation ends, whether a kexec is needed, what health says, that a slot turns
//! out to be damaged, that an admin releases an image from quarantine, that the record is lost and rebuilt from the slots, and
//! loss of power at any point. Beside the state it keeps what really lies in the slots and what the node has done, which the
//! state cannot lie about.

use std::collections::{BTreeSet, HashSet, VecDeque};

use super::{Arrival, BootState, Decision, SlotState, Wanted, decide};
use crate::device::sim::Tally;
use crate::record::{ImageRef, Record};
use crate::test_images::image;
use crate::{Sha256, Slot};

const ATTEMPTS: u8 = 2;

/// Where the node is. Memory is lost with the power, [`World::state`] is not: it changes only by a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Off,
    Agent(ArrivalKey),
    Installing(Slot),
    Kexec,
    Running(Slot),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ArrivalKey {
    Firmware,
    Kexec,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    state: BootState,
    phase: Phase,
    /// What really lies in A and B: a complete image, or nothing that is one.
    content: [Option<Sha256>; 2],
    /// How often what is on trial in A and B was running.
    boots: [u8; 2],
    /// Something was confirmed once.
    confirmed: bool,
    /// Images that were ever rolled back.
    rolled_back: BTreeSet<Sha256>,
}

impl World {
    fn new() -> Self {
        Self {
            state: BootState::default(),
            phase: Phase::Off,
            content: [None, None],
            boots: [0, 0],
            confirmed: false,
            rolled_back: BTreeSet::new(),
        }
    }

    fn check(&self) {
        self.state.check().unwrap();
        for slot in Slot::ALL {
            if let SlotState::Trial { image, .. } | SlotState::Confirmed { image } = self.state.slot(slot) {
                assert_eq!(
                    self.content[slot as usize],
                    Some(image.manifest),
                    "bootable without being complete"
                );
            }
            assert!(self.boots[slot as usize] <= ATTEMPTS, "a trial was booted too often");
        }
        let kept: BTreeSet<Sha256> = self.state.quarantine().map(|entry| entry.image.manifest).collect();
        assert_eq!(kept, self.rolled_back, "an image left quarantine by itself");
        if self.confirmed {
            let preferred = self.state.preferred().expect("nothing is bootable any more");
            assert!(self.state.slot(preferred).is_bootable());
        }
    }

    /// One turn of the agent's loop with `wanted` known. `kexec`: the slot has another kernel than the one running.
    fn turn(&self, arrival: Arrival, wanted: Option<&ImageRef>, kexec: bool) -> World {
        let wanted = wanted.map(|image| Wanted { image: image.clone(), attempts: ATTEMPTS });
        let mut record = Record::default();
        record.state.clone_from(&self.state);
        let mut next = self.clone();
        match decide(&record, wanted.as_ref(), arrival) {
            Decision::Boot { slot, trial, .. } => {
                let image = next.state.slot(slot).image().unwrap().manifest;
                assert!(!trial || !self.rolled_back.contains(&image), "a quarantined image is tried again");
                if kexec {
                    next.state.begin_kexec(slot).unwrap();
                    next.phase = Phase::Kexec;
                } else {
                    next.state.begin_boot(slot).unwrap();
                    next.run(slot);
                }
            }
            Decision::Continue { slot } => {
                next.state.arrived(slot).unwrap();
                next.run(slot);
            }
            Decision::Install { slot, image } => {
                assert!(
                    !self.rolled_back.contains(&image.manifest),
                    "a quarantined image is installed again"
                );
                assert_ne!(self.state.preferred(), Some(slot), "the confirmed slot is written");
                next.state.begin_install(slot, &image, None).unwrap();
                next.content[slot as usize] = None;
                next.boots[slot as usize] = 0;
                next.phase = Phase::Installing(slot);
            }
            Decision::FlipTo { slot } => {
                next.state.flip(slot, ATTEMPTS).unwrap();
                next.boots[slot as usize] = 0;
            }
            Decision::RollBack { slot } => {
                let entry = next.state.roll_back(slot).unwrap();
                next.rolled_back.insert(entry.image.manifest);
            }
            Decision::Nothing { .. } => next.phase = Phase::Off,
        }
        next
    }

    /// The slot that the agent would start now is found not to hold what it should.
    fn finds_damage(&self, arrival: Arrival, wanted: Option<&ImageRef>) -> Option<World> {
        let wanted = wanted.map(|image| Wanted { image: image.clone(), attempts: ATTEMPTS });
        let mut record = Record::default();
        record.state.clone_from(&self.state);
        let (Decision::Boot { slot, .. } | Decision::Continue { slot }) =
            decide(&record, wanted.as_ref(), arrival)
        else {
            return None;
        };
        let mut next = self.clone();
        next.state.damaged(slot, "dm-verity").unwrap();
        next.content[slot as usize] = None;
        next.confirmed = next.state.preferred().is_some();
        next.phase = Phase::Agent(ArrivalKey::Firmware);
        Some(next)
    }

    /// Both copies of the record are gone: what is whole in the slots is all that is known.
    fn loses_record(&self, images: &[ImageRef]) -> World {
        let whole = |slot: Slot| {
            let found = images.iter().find(|image| self.content[slot as usize] == Some(image.manifest))?;
            Some((slot, found.clone()))
        };
        let state = BootState::rebuilt(Slot::ALL.into_iter().filter_map(whole).collect(), ATTEMPTS);
        let confirmed = state.preferred().is_some();
        let (boots, rolled_back) = ([0, 0], BTreeSet::new());
        World { state, confirmed, boots, rolled_back, ..self.clone() }
    }

    fn release(&self, image: &ImageRef) -> Option<World> {
        let mut next = self.clone();
        next.rolled_back.remove(&image.manifest);
        next.state.release(&image.manifest).then_some(next)
    }

    fn run(&mut self, slot: Slot) {
        self.phase = Phase::Running(slot);
        self.boots[slot as usize] += u8::from(matches!(self.state.slot(slot), SlotState::Trial { .. }));
    }

    fn finish_install(&self, slot: Slot) -> World {
        let mut next = self.clone();
        next.content[slot as usize] = next.state.slot(slot).image().map(|image| image.manifest);
        next.state.installed(slot, ATTEMPTS).unwrap();
        next.phase = Phase::Agent(ArrivalKey::Firmware);
        next
    }

    fn verdict(&self, slot: Slot, healthy: bool) -> World {
        let mut next = self.clone();
        if healthy {
            next.state.confirm(slot).unwrap();
            next.boots[slot as usize] = 0;
            next.confirmed = true;
        } else {
            next.state.fail(slot, "unhealthy").unwrap();
            next.phase = Phase::Off;
        }
        next
    }

    /// Everything that can happen next.
    fn successors(&self, images: &[ImageRef]) -> Vec<World> {
        let with = |phase| World { phase, ..self.clone() };
        let mut next = Vec::new();
        if self.phase != Phase::Off {
            next.push(with(Phase::Off));
        }
        match self.phase {
            Phase::Off => {
                next.push(with(Phase::Agent(ArrivalKey::Firmware)));
                next.push(self.loses_record(images));
            }
            Phase::Kexec => next.push(with(Phase::Agent(ArrivalKey::Kexec))),
            Phase::Installing(slot) => {
                // Failing and going on without a wish is the same as deciding anew.
                next.push(with(Phase::Agent(ArrivalKey::Firmware)));
                next.push(self.finish_install(slot));
            }
            Phase::Agent(key) => {
                let arrival = key.arrival();
                for wanted in images.iter().map(Some).chain([None]) {
                    next.extend([false, true].map(|kexec| self.turn(arrival, wanted, kexec)));
                    next.extend(self.finds_damage(arrival, wanted));
                }
            }
            Phase::Running(slot) => {
                next.extend([true, false].map(|healthy| self.verdict(slot, healthy)));
                next.extend(images.iter().filter_map(|image| self.release(image)));
                // Somebody starts the same kernel with the same command line again.
                next.push(with(Phase::Kexec));
            }
        }
        next
    }

    /// With `wanted` known and everything going well, the node ends up running it, or something confirmed if it is quarantined.
    fn settles_on(&self, wanted: &ImageRef) {
        let mut world = World { phase: Phase::Agent(ArrivalKey::Firmware), ..self.clone() };
        for _ in 0..10 {
            world = match world.phase {
                Phase::Off => return assert!(self.no_way_but(wanted), "nothing boots: {self:?}"),
                Phase::Agent(key) => world.turn(key.arrival(), Some(wanted), false),
                Phase::Installing(slot) => world.finish_install(slot),
                Phase::Kexec => panic!("no kexec was asked for"),
                Phase::Running(slot) => {
                    let done = world.verdict(slot, true);
                    let runs = done.state.preferred_image().unwrap().manifest;
                    return assert!(runs == wanted.manifest || done.rolled_back.contains(&wanted.manifest));
                }
            };
        }
        panic!("{} is not reached in ten steps from {self:?}", wanted.name);
    }

    fn no_way_but(&self, wanted: &ImageRef) -> bool {
        let out_of_tries = |slot| match self.state.slot(slot) {
            SlotState::Trial { image, left: 0, .. } => image.manifest == wanted.manifest,
            _ => false,
        };
        let quarantined =
            self.rolled_back.contains(&wanted.manifest) || Slot::ALL.into_iter().any(out_of_tries);
        quarantined && self.state.preferred().is_none()
    }
}

impl ArrivalKey {
    fn arrival(self) -> Arrival {
        match self {
            Self::Firmware => Arrival::Firmware,
            Self::Kexec => Arrival::Kexec,
        }
    }
}

fn explore(images: &[ImageRef]) -> HashSet<World> {
    let mut seen = HashSet::from([World::new()]);
    let mut queue = VecDeque::from([World::new()]);
    while let Some(world) = queue.pop_front() {
        for next in world.successors(images) {
            if seen.insert(next.clone()) {
                queue.push_back(next);
            }
        }
    }
    seen
}

#[test]
fn all_reachable_states_keep_the_rules_and_reach_what_is_wanted() {
    let images = [image("ha@1", 1), image("ha@2", 2), image("ha@3", 3)];
    let worlds = explore(&images);
    let mut tally = Tally::new("boot state, every event in every reachable state");
    let mut settled = HashSet::new();
    for world in &worlds {
        tally.check(format_args!("{world:?}"), || {
            world.check();
            // The power goes here.
            let off = World { phase: Phase::Off, ..world.clone() };
            if settled.insert(off.clone()) {
                images.iter().for_each(|wanted| off.settles_on(wanted));
            }
            Ok::<_, String>(())
        });
    }
    tally.finish();
}

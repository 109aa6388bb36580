//! The disks that a power cut may leave.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use super::{Epoch, SimDevice, put};

/// How much of an epoch is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Up to this many states, all of them.
    pub all_up_to: u64,
    /// Beyond: so many by chance, beside the cuts before, in the middle of and after every write, every write lost and every
    /// write alone.
    pub random: u32,
    /// For the chance.
    pub seed: u64,
}

/// A disk after a power cut, and how it came to be.
#[derive(Debug)]
pub struct CrashState {
    /// The disk, switched on again.
    pub disk: SimDevice,
    epoch: usize,
    choice: Vec<(u64, u8)>,
}

impl fmt::Display for CrashState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, more) = self.choice.split_at(self.choice.len().min(12));
        write!(f, "epoch {}, of the sectors written survive", self.epoch)?;
        shown.iter().try_for_each(|(sector, version)| write!(f, " {sector}v{version}"))?;
        if more.is_empty() { Ok(()) } else { write!(f, " and {} more", more.len()) }
    }
}

/// For each sector that was written which version survives; 0 is what was durable.
type Choice = Vec<u8>;

impl Epoch {
    /// The disk as it was at the flush before: what survives in any case.
    pub fn durable(&self) -> SimDevice {
        SimDevice::holding(self.len, self.durable.clone())
    }

    /// How many different disks a power cut in this epoch may leave; capped.
    pub fn states(&self) -> u64 {
        self.versions.values().fold(1, |states, versions| states.saturating_mul(versions.len() as u64))
    }

    /// Whether [`Epoch::crashes`] gives all of them.
    pub fn is_small(&self, sampling: Sampling) -> bool {
        self.states() <= sampling.all_up_to
    }

    /// Disks that a power cut in this epoch may leave, each once. The one where nothing survives is left out except in the first
    /// epoch: it is the one where everything of the epoch before survives.
    pub fn crashes(&self, sampling: Sampling) -> impl Iterator<Item = CrashState> {
        self.some_crashes(sampling, 0, 1)
    }

    /// As [`Epoch::crashes`], without the first `skip`, and of the others one of `one_of`.
    pub fn some_crashes(
        &self,
        sampling: Sampling,
        skip: usize,
        one_of: usize,
    ) -> impl Iterator<Item = CrashState> {
        let choices = if self.is_small(sampling) { self.all() } else { self.sampled(sampling) };
        let skip_none = self.number > 0;
        let wanted = move |choice: &Choice| !(skip_none && choice.iter().all(|version| *version == 0));
        let wanted = choices.into_iter().filter(wanted).skip(skip).step_by(one_of);
        wanted.map(|choice| self.crash(&choice))
    }

    fn crash(&self, choice: &[u8]) -> CrashState {
        let mut sectors = self.durable.clone();
        let mut survived = Vec::new();
        for ((number, versions), version) in self.versions.iter().zip(choice) {
            if *version > 0 {
                put(&mut sectors, *number, versions[usize::from(*version)].clone());
                survived.push((*number, *version));
            }
        }
        CrashState { disk: SimDevice::holding(self.len, sectors), epoch: self.number, choice: survived }
    }

    fn all(&self) -> Vec<Choice> {
        let mut choices = vec![Choice::new()];
        for versions in self.versions.values() {
            let extended = choices.iter().flat_map(|choice| {
                (0..versions.len() as u8).map(|version| [choice.as_slice(), &[version]].concat())
            });
            choices = extended.collect();
        }
        choices
    }

    fn sampled(&self, sampling: Sampling) -> Vec<Choice> {
        let places: BTreeMap<u64, usize> = self.versions.keys().copied().zip(0..).collect();
        let none: Choice = vec![0; places.len()];
        let set = |choice: &mut Choice, made: &[(u64, u8)]| {
            made.iter().for_each(|(number, version)| choice[places[number]] = *version);
        };
        let last = {
            let mut last = none.clone();
            self.writes.iter().for_each(|made| set(&mut last, made));
            last
        };
        let mut choices = vec![none.clone()];
        let mut prefix = none.clone();
        for made in &self.writes {
            let (first, second) = made.split_at(made.len() / 2);
            set(&mut prefix, first);
            choices.push(prefix.clone());
            set(&mut prefix, second);
            choices.push(prefix.clone());
            let mut alone = none.clone();
            set(&mut alone, made);
            choices.push(alone);
            let mut without = last.clone();
            made.iter().for_each(|(number, version)| without[places[number]] = version - 1);
            choices.push(without);
        }
        let mut state = sampling.seed ^ (self.number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for _ in 0..sampling.random {
            // Sometimes most survive and sometimes few.
            let density = 1 + next(&mut state) % 255;
            let pick = |versions: &Vec<_>| match next(&mut state) {
                dice if dice % 256 < density => 1 + ((dice >> 8) % (versions.len() as u64 - 1)) as u8,
                _ => 0,
            };
            choices.push(self.versions.values().map(pick).collect());
        }
        let mut seen = HashSet::new();
        choices.retain(|choice| seen.insert(choice.clone()));
        choices
    }
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::device::Device;

    const ALL: Sampling = Sampling { all_up_to: 1000, random: 0, seed: 1 };

    fn first_bytes(disk: &SimDevice) -> [u8; 4] {
        [0, 512, 1024, 1536].map(|at| disk.read_vec(at, 1).unwrap()[0])
    }

    fn life() -> SimDevice {
        let disk = SimDevice::new(2048);
        disk.write_at(&[9], 1536).unwrap();
        disk.flush().unwrap();
        disk.record();
        disk.write_at(&[1; 1024], 0).unwrap();
        disk.write_at(&[2], 0).unwrap();
        disk.write_at(&[9], 1536).unwrap();
        disk.flush().unwrap();
        disk.write_at(&[3], 1024).unwrap();
        disk
    }

    #[test]
    fn every_version_of_every_sector_may_survive_on_its_own() {
        let epochs = life().journal().epochs();
        assert_eq!(epochs.len(), 2);
        let states =
            |epoch: &Epoch| epoch.crashes(ALL).map(|state| first_bytes(&state.disk)).collect::<Vec<_>>();
        let first: BTreeSet<[u8; 4]> = states(&epochs[0]).into_iter().collect();
        let expected = [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]].map(|[a, b]| [a, b, 0, 9]);
        assert_eq!(first, BTreeSet::from(expected), "writing the same again changes nothing");
        assert_eq!((epochs[0].states(), states(&epochs[0]).len()), (6, 6), "each once");
        assert_eq!(states(&epochs[1]), [[2, 1, 3, 9]], "without it: the end of the first epoch");
    }

    #[test]
    fn a_flush_that_lies_joins_two_epochs() {
        let journal = life().journal();
        assert_eq!((journal.operations(), journal.flushes()), (5, 1));
        let epoch = journal.lying_epoch(0).unwrap();
        assert_eq!((epoch.number, epoch.states()), (0, 12));
        assert!(epoch.crashes(ALL).any(|state| first_bytes(&state.disk) == [0, 0, 3, 9]));
        assert!(journal.lying_epoch(1).is_some_and(|epoch| epoch.number == 1), "a flush that never was");
    }

    #[test]
    fn samples_hold_every_prefix_every_torn_write_and_are_the_same_for_the_same_seed() {
        let disk = SimDevice::new(1 << 20);
        disk.record();
        for at in 0..10 {
            disk.write_at(&[7; 8192], at * 8192).unwrap();
        }
        let sampling = Sampling { all_up_to: 1000, random: 50, seed: 3 };
        let epoch = disk.journal().epochs().remove(0);
        let survivors = |seed| -> Vec<Vec<u64>> {
            let states = epoch.crashes(Sampling { seed, ..sampling });
            states.map(|state| state.disk.content(0..1 << 20).into_keys().collect()).collect()
        };
        let states = survivors(3);
        for sectors in (0..=160).step_by(8) {
            assert!(states.contains(&(0..sectors).map(|sector| sector * 512).collect()), "{sectors}");
        }
        assert!(states.len() > 70, "{}", states.len());
        assert_eq!(survivors(3), states);
        assert_ne!(survivors(4), states);
        let text = epoch.crashes(sampling).last().unwrap().to_string();
        assert!(text.starts_with("epoch 0, of the sectors written survive "), "{text}");
    }
}

//! Images of many chunks: cuts before, in the middle of and after every write, every write lost, every write alone, and losses
//! by chance. The seed is printed; `BASCULE_POWER_SEED` sets another one, `BASCULE_POWER_SAMPLES` their number in each epoch.

use image_format::device::sim::{Sampling, SimDevice, Tally};

use super::super::world::{Image, Server, image, two_images};
use super::node::{Outcome, power_on};
use super::rules::{Known, judge};
use super::site::{DISK, Site};

fn sampling(random: u32) -> Sampling {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let random = number("BASCULE_POWER_SAMPLES").map_or(random, |samples: u64| samples as u32);
    Sampling { all_up_to: 64, random, seed: number("BASCULE_POWER_SEED").unwrap_or(20_261_120) }
}

/// Two images of forty chunks that share most of them, and one that has its chunks in another order.
fn site() -> Site {
    let mut server = Server::default();
    let (first, second) = two_images(&mut server);
    let third = image(&mut server, "ha@3", 3, &(1..=40).rev().collect::<Vec<_>>());
    let images: Vec<Image> = vec![first, second, third];
    Site::new(server, images, Vec::new())
}

/// A disk on which `earlier` were confirmed one after the other.
fn disk(site: &Site, earlier: &[usize]) -> SimDevice {
    let disk = SimDevice::new(DISK);
    for wish in earlier {
        let outcome = power_on(site, &disk, Some(*wish)).unwrap();
        assert!(matches!(outcome, Outcome::Running(_)), "{outcome:?}");
    }
    disk.power_cut(|_| panic!("something is not flushed"))
}

#[test]
fn updates_of_many_chunks_are_cut_anywhere() {
    let sampling = sampling(12);
    let site = site();
    let mut tally = Tally::new(format!("updates of forty chunks, seed {}", sampling.seed));
    // Into an empty slot, with the other one as a seed, over an older image, and in place.
    for (earlier, wish) in [(&[][..], 0), (&[0], 1), (&[0, 1], 2), (&[2, 0, 1], 2)] {
        let disk = disk(&site, earlier);
        disk.record();
        power_on(&site, &disk, Some(wish)).unwrap();
        for epoch in disk.journal().epochs() {
            let known = Known::of(&epoch.durable());
            for cut in epoch.crashes(sampling) {
                tally.check(format_args!("{earlier:?} then {wish}: {cut}"), || {
                    judge(&site, &known, &cut.disk, Some(wish))
                });
            }
        }
    }
    tally.finish();
}

/// One cut after the other, each in the recovery from the one before, until the node is through.
#[test]
fn cut_after_cut_the_update_comes_to_an_end() {
    let sampling = sampling(20);
    let site = site();
    let mut tally =
        Tally::new(format!("updates of forty chunks, up to eight cuts in a row, seed {}", sampling.seed));
    let start = disk(&site, &[0, 1]);
    for round in 0..u64::from(sampling.random) {
        let mut disk = start.clone();
        let mut dice = (sampling.seed + round).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for cut in 0..8 {
            disk.record();
            power_on(&site, &disk, Some(2)).unwrap();
            let epochs = disk.journal().epochs();
            // Before the boot is counted: too many attempts that are cut would be taken for a bad image.
            let writing = epochs.iter().take_while(|epoch| !is_on_trial(&epoch.durable())).count();
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let Some(epoch) = epochs[..writing].get((dice >> 33) as usize % writing.max(1)) else { break };
            let one = Sampling { all_up_to: 0, random: 1, seed: dice };
            let Some(state) = epoch.crashes(one).last() else { continue };
            let known = Known::of(&epoch.durable());
            let copy = state.disk.clone();
            tally.check(format_args!("round {round}, cut {cut}: {state}"), || {
                judge(&site, &known, &copy, Some(2))
            });
            disk = state.disk;
        }
    }
    tally.finish();
}

fn is_on_trial(disk: &SimDevice) -> bool {
    let state = super::site::node_disk(disk).load_record().record.map(|record| record.state);
    let on_trial = |slot| state.as_ref().is_some_and(|state| state.attempt(slot).is_some());
    image_format::Slot::ALL.into_iter().any(on_trial)
}

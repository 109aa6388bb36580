//! Tiny images: everything that a power cut may take or leave.

use std::io;

use image_format::device::sim::{Epoch, Fault, Sampling, Tally};

use super::life::{Day, days};
use super::node::power_on;
use super::rules::judge;
use super::site::Site;

/// All losses: no epoch of this life has more.
const ALL: Sampling = Sampling { all_up_to: 1 << 10, random: 0, seed: 0 };

fn judge_all(site: &Site, day: &Day, epoch: &Epoch, tally: &mut Tally) {
    let known = day.known(&epoch.durable());
    for cut in epoch.crashes(ALL) {
        tally.check(format_args!("{}: {cut}", day.what), || judge(site, &known, &cut.disk, day.wish));
    }
}

#[test]
fn a_cut_anywhere_in_a_life_breaks_no_rule() {
    let site = Site::tiny();
    let mut tally = Tally::new("life of a node, tiny images, cut at every operation with every loss");
    for day in days(&site) {
        for epoch in day.journal.epochs() {
            assert!(epoch.is_small(ALL), "{}: {} states", day.what, epoch.states());
            judge_all(&site, &day, &epoch, &mut tally);
        }
    }
    assert!(tally.states() > 1000, "{}", tally.states());
    tally.finish();
}

/// A cut, and another one while the node makes up for it: of the first ones one of `first`, of the second ones one of `second`.
fn cut_twice(first: usize, second: usize) -> Tally {
    let site = Site::tiny();
    let mut tally =
        Tally::new(format!("life of a node, cut again in the recovery, one of {}", first * second));
    let mut recoveries = 0;
    for day in days(&site) {
        for epoch in day.journal.epochs() {
            for cut in epoch.some_crashes(ALL, recoveries % first, first) {
                recoveries += 1;
                let recovery = cut.disk.clone();
                recovery.record();
                if let Err(error) = power_on(&site, &recovery, day.wish) {
                    tally.check(format_args!("{}: {cut}", day.what), || Err(error));
                    continue;
                }
                for (number, epoch) in recovery.journal().epochs().into_iter().enumerate() {
                    let known = day.known(&epoch.durable());
                    for again in epoch.some_crashes(ALL, (recoveries + number) % second, second) {
                        tally.check(format_args!("{}: {cut}; then {again}", day.what), || {
                            judge(&site, &known, &again.disk, day.wish)
                        });
                    }
                }
            }
        }
    }
    tally
}

#[test]
fn a_second_cut_in_the_recovery_breaks_no_rule_either() {
    let tally = cut_twice(13, 31);
    assert!(tally.states() > 1000, "{}", tally.states());
    tally.finish();
}

/// `cargo test --release -p initramfs-agent every_second_cut -- --ignored --nocapture`
#[test]
#[ignore = "minutes; the test above takes one of 403 of these"]
fn every_second_cut_in_the_recovery_breaks_no_rule_either() {
    cut_twice(1, 1).finish();
}

/// A flush that lies makes two epochs one; those with more states than this are sampled.
const LIES: Sampling = Sampling { all_up_to: 1 << 9, random: 150, seed: 20_261_120 };

/// Whichever flush does nothing: the same rules hold, none is relaxed. What counts as known is what was durable before the lie.
#[test]
fn one_flush_that_lies_breaks_no_rule() {
    let site = Site::tiny();
    let mut tally = Tally::new(format!("life of a node, one flush lies, then a cut, seed {}", LIES.seed));
    for day in days(&site) {
        for lie in 0..day.journal.flushes() {
            let Some(epoch) = day.journal.lying_epoch(lie) else { continue };
            let known = day.known(&epoch.durable());
            for cut in epoch.crashes(LIES) {
                tally.check(format_args!("{}, flush {lie} lies: {cut}", day.what), || {
                    judge(&site, &known, &cut.disk, day.wish)
                });
            }
        }
    }
    tally.finish();
}

/// Every write, flush and read fails once, as a bad cable does it, and the day goes on as it can; the next one is without faults.
#[test]
fn whatever_operation_fails_no_rule_is_broken() {
    let site = Site::tiny();
    let mut tally = Tally::new("life of a node, every operation fails once");
    for day in days(&site) {
        let whole = day.morning.clone();
        whole.set_fault(Fault::None);
        power_on(&site, &whole, day.wish).unwrap();
        // The layout's reading of the table alone is thousands of reads.
        let reads = whole.reads().min(400);
        let kind = io::ErrorKind::StorageFull;
        let faults = (0..whole.operations()).map(|at| Fault::Error { at, kind });
        for fault in faults.chain((0..reads).map(|at| Fault::Read { at })) {
            let disk = day.morning.clone();
            disk.set_fault(fault);
            let _told = power_on(&site, &disk, day.wish);
            disk.set_fault(Fault::None);
            // Switched off in good order, and by force.
            let known = day.known(&day.morning);
            for (how, disk) in
                [("all survives", disk.power_cut(|_| true)), ("nothing does", disk.power_cut(|_| false))]
            {
                tally.check(format_args!("{}: {fault:?}, {how}", day.what), || {
                    judge(&site, &known, &disk, day.wish)
                });
            }
        }
    }
    tally.finish();
}

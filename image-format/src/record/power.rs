//! Saves of the record, with the power gone at every point and every part of what was not flushed lost.

use crate::device::sim::{Fault, Sampling, SimDevice, Tally};
use crate::record::{COPY_LEN, Record, load, save};

/// Records of these tests take four sectors: all of sixteen losses.
const ALL: Sampling = Sampling { all_up_to: 1 << 12, random: 0, seed: 0 };

fn record(n: usize) -> Record {
    let mut record = Record::default();
    let path = ["-", "a", "b", "c", "d", "e", "f", "g", "h", "i"][n].repeat(1500);
    record.servers.delivery = Some(format!("http://server-{n}/{path}"));
    record
}

/// A disk with records 1 and 2, the second of them the newest.
fn disk() -> SimDevice {
    let disk = SimDevice::new(2 * COPY_LEN);
    save(&disk, &record(1)).unwrap();
    save(&disk, &record(2)).unwrap();
    disk
}

fn newest(disk: &SimDevice) -> Option<usize> {
    let found = load(disk).record?;
    (1..10).find(|n| found == record(*n))
}

fn one_of(disk: &SimDevice, allowed: &[usize]) -> Result<(), String> {
    match newest(disk) {
        Some(n) if allowed.contains(&n) => Ok(()),
        found => Err(format!("expected one of the records {allowed:?}, found {found:?}")),
    }
}

/// What can be saved over any remains, and is read back.
fn can_be_saved(disk: &SimDevice) -> Result<(), String> {
    save(disk, &record(9)).map_err(|error| error.to_string())?;
    one_of(disk, &[9])
}

#[test]
fn a_cut_leaves_the_old_or_the_new_record_and_so_does_a_cut_of_what_comes_next() {
    let mut tally = Tally::new("boot record, three saves, cut twice");
    let disk = disk();
    disk.record();
    (3..6).for_each(|n| save(&disk, &record(n)).unwrap());
    for epoch in disk.journal().epochs() {
        assert!(epoch.is_small(ALL));
        // Two flushes a save; nothing is written between them.
        let before = 2 + epoch.number / 2;
        for cut in epoch.crashes(ALL) {
            tally.check(&cut, || one_of(&cut.disk, &[before, before + 1]));
            let now = newest(&cut.disk).unwrap_or(0);
            // The next boot saves something else, and is cut as well.
            let next = cut.disk.clone();
            next.record();
            save(&next, &record(8)).unwrap();
            for again in next.journal().epochs().iter().flat_map(|epoch| epoch.crashes(ALL)) {
                tally.check(format!("{cut}, then {again}"), || {
                    one_of(&again.disk, &[now, 8])?;
                    can_be_saved(&again.disk)
                });
            }
        }
    }
    assert!(tally.states() > 700, "{}", tally.states());
    tally.finish();
}

/// Every save flushes twice, so one flush that does nothing costs nothing, whichever it is.
#[test]
fn a_flush_that_lies_leaves_the_old_or_the_new_record_too() {
    let mut tally = Tally::new("boot record, three saves, one flush lies");
    let disk = disk();
    disk.record();
    (3..6).for_each(|n| save(&disk, &record(n)).unwrap());
    let journal = disk.journal();
    for lie in 0..journal.flushes() {
        let before = 2 + lie / 2;
        let epoch = journal.lying_epoch(lie).unwrap();
        for cut in epoch.crashes(ALL) {
            tally.check(format!("flush {lie} lies, {cut}"), || {
                // After the second flush of a save the next one may be on its way.
                one_of(&cut.disk, &[before, before + 1, before + 1 + lie % 2])?;
                can_be_saved(&cut.disk)
            });
        }
    }
    tally.finish();
}

#[test]
fn whatever_operation_fails_the_record_is_the_old_or_the_new_one() {
    let mut tally = Tally::new("boot record, every operation fails once");
    let whole = disk();
    whole.set_fault(Fault::None);
    save(&whole, &record(3)).unwrap();
    let kind = std::io::ErrorKind::Other;
    let faults = (0..whole.operations()).map(|at| Fault::Error { at, kind });
    for fault in faults.chain((0..whole.reads()).map(|at| Fault::Read { at })) {
        let disk = disk();
        disk.set_fault(fault);
        let saved = save(&disk, &record(3));
        disk.set_fault(Fault::None);
        tally.check(format!("{fault:?}"), || {
            one_of(&disk, if saved.is_ok() { &[3] } else { &[2, 3] })?;
            can_be_saved(&disk)
        });
    }
    tally.finish();
}

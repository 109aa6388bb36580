//! Loss of power at every write and flush of an update, with any part of what was not flushed lost.

use image_format::Slot;
use image_format::device::sim::{Fault, SimDevice};
use image_format::state::{Decision, Note, SlotState};

use super::world::{
    Image, Server, assert_holds, confirmed_disk, decision, disk_from, record, slot_a, two_images, update,
};

/// What survives of writes that were not flushed.
#[derive(Debug, Clone, Copy)]
enum Survivors {
    None,
    All,
    Random(u64),
}

fn after(device: &SimDevice, survivors: Survivors) -> SimDevice {
    match survivors {
        Survivors::None => device.power_cut(|_| false),
        Survivors::All => device.power_cut(|_| true),
        Survivors::Random(seed) => {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            device.power_cut(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state >> 63 == 1
            })
        }
    }
}

/// After a cut: A untouched and booting, B whole or unbootable, and the update completes when it is run again.
fn check(
    device: SimDevice,
    images: (&Image, &Image),
    before: &std::collections::BTreeMap<u64, Vec<u8>>,
    server: &Server,
) {
    let (first, second) = images;
    let disk = disk_from(device);
    assert!(slot_a(&disk) == *before, "the confirmed slot changed");
    assert_eq!(decision(&disk, Some(first)), Decision::Boot { slot: Slot::A, trial: false, note: None });
    let note = Some(Note::NothingWanted);
    assert_eq!(decision(&disk, None), Decision::Boot { slot: Slot::A, trial: false, note });
    match record(&disk).state.slot(Slot::B) {
        SlotState::Trial { .. } => {
            assert_eq!(
                decision(&disk, Some(second)),
                Decision::Boot { slot: Slot::B, trial: true, note: None }
            );
        }
        SlotState::Empty | SlotState::Writing { .. } => {
            let mut again = Server { objects: server.objects.clone(), ..Server::default() };
            update(&disk, Slot::B, second, &mut again).unwrap();
        }
        other => panic!("{other:?}"),
    }
    assert_holds(&disk, Slot::B, second, server);
    assert_holds(&disk, Slot::A, first, server);
}

#[test]
fn a_cut_anywhere_keeps_the_confirmed_slot_and_the_update_can_be_run_again() {
    let mut server = Server::default();
    let (first, second) = two_images(&mut server);
    let disk = confirmed_disk(&first, &mut server);
    let before = slot_a(&disk);
    let whole = disk_from(disk.device().clone());
    whole.device().set_fault(Fault::None);
    update(&whole, Slot::B, &second, &mut server).unwrap();
    for at in 0..whole.device().operations() {
        let cut = disk_from(disk.device().clone());
        cut.device().set_fault(Fault::PowerCut { at });
        update(&cut, Slot::B, &second, &mut server).unwrap_err();
        for survivors in
            [Survivors::None, Survivors::All, Survivors::Random(at), Survivors::Random(at + 1000)]
        {
            check(after(cut.device(), survivors), (&first, &second), &before, &server);
        }
    }
}

#[test]
fn two_cuts_in_a_row_lose_nothing_either() {
    let mut server = Server::default();
    let (first, second) = two_images(&mut server);
    let disk = confirmed_disk(&first, &mut server);
    let before = slot_a(&disk);
    for at in (0..60).step_by(7) {
        for again in (0..60).step_by(11) {
            let cut = disk_from(disk.device().clone());
            cut.device().set_fault(Fault::PowerCut { at });
            update(&cut, Slot::B, &second, &mut server).unwrap_err();
            let cut = disk_from(after(cut.device(), Survivors::Random(at)));
            cut.device().set_fault(Fault::PowerCut { at: again });
            // The second run has less to do and may be through before its cut.
            let _ = update(&cut, Slot::B, &second, &mut server);
            check(after(cut.device(), Survivors::Random(again)), (&first, &second), &before, &server);
        }
    }
}

//! Loss of power at every write and flush of an update, with any part of what was not flushed lost.

use std::collections::BTreeMap;
use std::ops::Range;

use image_format::Slot;
use image_format::device::sim::{Fault, SimDevice};
use image_format::disk_layout::Partition;
use image_format::proof::PROOF_LEN;
use image_format::state::{Decision, Note, SlotState};

use super::world::{
    Image, Server, SimDisk, assert_holds, confirmed_disk, decision, disk_from, image, range, record, slot_a,
    two_images, update,
};

/// What survives of writes that were not flushed.
#[derive(Debug, Clone)]
enum Survivors {
    None,
    All,
    /// Any half.
    Random(u64),
    /// What lies there and nothing else: the disk wrote the end before the beginning.
    Only(Range<u64>),
}

fn after(device: &SimDevice, survivors: Survivors) -> SimDevice {
    match survivors {
        Survivors::None => device.power_cut(|_| false),
        Survivors::All => device.power_cut(|_| true),
        Survivors::Only(range) => device.power_cut(|offset| range.contains(&offset)),
        Survivors::Random(seed) => {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            device.power_cut(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state >> 63 == 1
            })
        }
    }
}

/// What an update must keep in every case.
struct Case {
    server: Server,
    /// Confirmed in A.
    first: Image,
    /// Being installed into B.
    second: Image,
    /// In B before, where there was one.
    old: Option<Image>,
    disk: SimDisk,
    slot_a: BTreeMap<u64, Vec<u8>>,
}

impl Case {
    fn new(with_old: bool) -> Self {
        let mut server = Server::default();
        let (first, second) = two_images(&mut server);
        let disk = confirmed_disk(&first, &mut server);
        let old = with_old.then(|| image(&mut server, "ha@3", 3, &(20..60).collect::<Vec<_>>()));
        if let Some(old) = &old {
            update(&disk, Slot::B, old, &mut server).unwrap();
        }
        let slot_a = slot_a(&disk);
        Self { server, first, second, old, disk, slot_a }
    }

    fn server(&self) -> Server {
        Server { objects: self.server.objects.clone(), ..Server::default() }
    }

    /// The disk as it is before the update, about to lose its power.
    fn doomed(&self, at: u64) -> SimDisk {
        let disk = disk_from(self.disk.device().clone());
        disk.device().set_fault(Fault::PowerCut { at });
        disk
    }

    fn operations(&self) -> u64 {
        let whole = disk_from(self.disk.device().clone());
        whole.device().set_fault(Fault::None);
        update(&whole, Slot::B, &self.second, &mut self.server()).unwrap();
        whole.device().operations()
    }

    /// After a cut: A untouched and booting; B not bootable or whole, and no proof of what is not there; the update completes
    /// when it is run again.
    fn check(&self, device: SimDevice) {
        let disk = disk_from(device);
        assert!(slot_a(&disk) == self.slot_a, "the confirmed slot changed");
        let preferred = |note| Decision::Boot { slot: Slot::A, trial: false, note };
        assert_eq!(decision(&disk, Some(&self.first)), preferred(None));
        assert_eq!(decision(&disk, None), preferred(Some(Note::NothingWanted)));
        if let Ok(found) = disk.slot_image(Slot::B) {
            let named = |image: &&Image| image.manifest == found.manifest;
            let image = self.old.iter().chain([&self.second]).find(named).expect("a proof of no image");
            assert_holds(&disk, Slot::B, image, &self.server);
        }
        match record(&disk).state.slot(Slot::B) {
            SlotState::Trial { image, .. } if *image == self.second.reference() => {
                let trial = Decision::Boot { slot: Slot::B, trial: true, note: None };
                assert_eq!(decision(&disk, Some(&self.second)), trial);
            }
            SlotState::Empty | SlotState::Writing { .. } | SlotState::Trial { .. } => {
                update(&disk, Slot::B, &self.second, &mut self.server()).unwrap();
            }
            other => panic!("{other:?}"),
        }
        assert_holds(&disk, Slot::B, &self.second, &self.server);
    }
}

#[test]
fn a_cut_anywhere_keeps_the_confirmed_slot_and_the_update_can_be_run_again() {
    for with_old in [false, true] {
        let case = Case::new(with_old);
        for at in 0..case.operations() {
            let cut = case.doomed(at);
            update(&cut, Slot::B, &case.second, &mut case.server()).unwrap_err();
            let slot = range(Partition::Slot(Slot::B));
            let proof = Survivors::Only(slot.end - PROOF_LEN..slot.end);
            let record = Survivors::Only(range(Partition::Record));
            for survivors in [Survivors::None, Survivors::All, Survivors::Random(at), proof, record] {
                case.check(after(cut.device(), survivors));
            }
        }
    }
}

#[test]
fn two_cuts_in_a_row_lose_nothing_either() {
    let case = Case::new(true);
    for at in (0..60).step_by(7) {
        for again in (0..60).step_by(11) {
            let cut = case.doomed(at);
            // The second run has less to do, and may be through before its cut.
            let _ = update(&cut, Slot::B, &case.second, &mut case.server());
            let cut = disk_from(after(cut.device(), Survivors::Random(at)));
            cut.device().set_fault(Fault::PowerCut { at: again });
            let _ = update(&cut, Slot::B, &case.second, &mut case.server());
            case.check(after(cut.device(), Survivors::Random(again)));
        }
    }
}

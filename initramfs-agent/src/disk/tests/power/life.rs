//! The life of a node, one power-on after the other.

use image_format::device::Device;
use image_format::device::sim::{Journal, SimDevice};
use image_format::disk_layout::Partition;
use image_format::{Sha256, Slot};

use super::node::{Outcome, power_on};
use super::rules::Known;
use super::site::{DISK, Site, partition_start};

/// A power-on, as it went.
pub(super) struct Day {
    pub(super) what: &'static str,
    pub(super) wish: Option<usize>,
    /// The disk in the morning.
    pub(super) morning: SimDevice,
    /// What was written to it.
    pub(super) journal: Journal,
    /// The confirmed slot rotted overnight.
    pub(super) rotten: bool,
}

impl Day {
    /// What is known of a disk that a cut on this day leaves, given the disk at the last flush.
    pub(super) fn known(&self, durable: &SimDevice) -> Known {
        Known::of(durable).with_rot(self.rotten)
    }
}

/// What is expected of a day.
struct Plan {
    what: &'static str,
    wish: Option<usize>,
    /// The image that is up in the evening, by number; none when the machine restarts by itself.
    runs: Option<usize>,
    rot: Option<Slot>,
}

/// From a blank disk to a repaired slot: layout, first installation, updates into either slot, a bad image until it is rolled
/// back and stays so, a boot without a server, a way back without a download, a damaged slot.
fn plans() -> Vec<Plan> {
    let day = |what, wish, runs| Plan { what, wish, runs, rot: None };
    vec![
        day("blank disk: layout, installation, trial, confirmation", Some(0), Some(0)),
        day("confirmed boot", Some(0), Some(0)),
        day("update, trial, confirmation", Some(1), Some(1)),
        day("without a server", None, Some(1)),
        day("bad update, first attempt", Some(2), None),
        day("second attempt", Some(2), None),
        day("third attempt", Some(2), None),
        day("roll-back", Some(2), Some(1)),
        day("quarantined", Some(2), Some(1)),
        day("update over the bad one", Some(3), Some(3)),
        day("back without a download", Some(1), Some(1)),
        Plan { rot: Some(Slot::B), ..day("repair of the slot that rotted", Some(1), Some(1)) },
        day("update after the repair", Some(0), Some(0)),
    ]
}

/// The whole life without any cut.
pub(super) fn days(site: &Site) -> Vec<Day> {
    let mut disk = SimDevice::new(DISK);
    let mut days = Vec::new();
    for Plan { what, wish, runs, rot } in plans() {
        if let Some(slot) = rot {
            disk.write_at(&[0xee; 20], partition_start(Partition::Slot(slot)) + 700).unwrap();
            disk.flush().unwrap();
        }
        let morning = disk.clone();
        disk.record();
        let outcome = power_on(site, &disk, wish).unwrap();
        let digest = |number: usize| Sha256::of(&site.images[number].bytes);
        match runs {
            Some(number) => assert_eq!(outcome, Outcome::Running(digest(number)), "{what}"),
            None => assert_eq!(outcome, Outcome::Unhealthy(digest(wish.unwrap())), "{what}"),
        }
        let journal = disk.journal();
        disk = disk.power_cut(|_| panic!("{what}: something is not flushed in the evening"));
        days.push(Day { what, wish, morning, journal, rotten: rot.is_some() });
    }
    days
}

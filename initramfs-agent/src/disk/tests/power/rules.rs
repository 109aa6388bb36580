//! What must hold on every disk that a power cut leaves.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail, ensure};
use image_format::device::Device;
use image_format::device::sim::SimDevice;
use image_format::disk_layout::Partition;
use image_format::grub_env::GrubEnv;
use image_format::state::{BootState, SlotState};
use image_format::{Sha256, Slot};

use super::node::{Outcome, power_on};
use super::site::{ATTEMPTS, NodeDisk, Site, node_disk, partition_start};

/// What was durably so before the cut.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    state: Option<BootState>,
    quarantine: BTreeSet<Sha256>,
    /// A slot is known to be damaged by other means than the power; it may lose its confirmation.
    rotten: bool,
}

impl Known {
    pub(super) fn of(device: &SimDevice) -> Self {
        let Some(record) = node_disk(device).load_record().record else { return Self::default() };
        let quarantine = record.state.quarantine().map(|entry| entry.image.manifest).collect();
        Self { state: Some(record.state), quarantine, rotten: false }
    }

    /// The same, with a slot that rotted.
    pub(super) fn with_rot(self, rotten: bool) -> Self {
        Self { rotten, ..self }
    }

    fn has_preferred(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.preferred().is_some())
    }
}

/// Judges a disk that was switched on again, before anything is done to it, and then what the node makes of it when `wish` is
/// wanted as before.
pub(super) fn judge(
    site: &Site,
    known: &Known,
    device: &SimDevice,
    wish: Option<usize>,
) -> anyhow::Result<()> {
    look(site, known, device)?;
    let known = Known::of(device).with_rot(known.rotten);
    settles(site, &known, device, wish)
}

/// The disk as it is.
pub(super) fn look(site: &Site, known: &Known, device: &SimDevice) -> anyhow::Result<()> {
    let disk = node_disk(device);
    let record = disk.load_record().record;
    ensure!(known.state.is_none() || record.is_some(), "the record cannot be read any more");
    let state = record.map(|record| record.state).unwrap_or_default();
    for manifest in &known.quarantine {
        ensure!(state.quarantined(manifest).is_some(), "an image left quarantine by itself");
    }
    if let Some(before) = &known.state
        && let Some(slot) = before.preferred()
        && !known.rotten
    {
        ensure!(state.slot(slot) == before.slot(slot), "the confirmed slot {slot} is no longer confirmed");
        ensure!(state.preferred().is_some(), "nothing is preferred any more");
    }
    for slot in Slot::ALL {
        bootable_is_whole(site, known, &disk, slot, state.slot(slot))?;
    }
    boot_loader(site, &disk)?;
    boot_sector(site, device)
}

fn bootable_is_whole(
    site: &Site,
    known: &Known,
    disk: &NodeDisk<'_>,
    slot: Slot,
    state: &SlotState,
) -> anyhow::Result<()> {
    if known.rotten {
        return Ok(());
    }
    let proof = disk.slot_image(slot).ok();
    if let Some(proof) = &proof {
        let number = site.number(proof.digest).context("a proof of no image")?;
        site.slot_holds(disk, slot, number).context("a proof of what is not there")?;
    }
    if state.is_bootable() {
        let expected = state.image().map(|image| image.manifest);
        let found = proof.map(|proof| proof.digest);
        ensure!(found == expected, "slot {slot} is bootable and does not prove what the record says");
    }
    Ok(())
}

/// Every entry of the environment starts a kernel with its own initramfs, and what is to be started has an entry.
fn boot_loader(site: &Site, disk: &NodeDisk<'_>) -> anyhow::Result<()> {
    let env = GrubEnv::load(&disk.partition(Partition::Bios))?;
    if let Some(boot) = env.boot {
        ensure!(env.slot(boot).is_some(), "the boot loader starts slot {boot}, of which it knows nothing");
    }
    for slot in Slot::ALL {
        let Some(entry) = env.slot(slot) else { continue };
        let at = |list: &str| -> anyhow::Result<u64> {
            Ok(list.split_once('+').context("no block list")?.0.parse::<u64>()? * 512)
        };
        let places = [at(&entry.kernel)?, at(&entry.initramfs)?];
        let started = site.started_by(disk, slot, places);
        ensure!(!started.is_empty(), "the boot loader would start something unknown from slot {slot}");
    }
    Ok(())
}

/// The boot sector starts no half-written core image.
fn boot_sector(site: &Site, device: &SimDevice) -> anyhow::Result<()> {
    let sector = device.read_vec(0, 512)?;
    if sector[0] != 0xeb {
        return Ok(());
    }
    let lba = u64::from_le_bytes(sector[0x5c..0x64].try_into()?);
    let halves = [0, 1 << 20].map(|half| partition_start(Partition::Bios) + half);
    ensure!(halves.contains(&(lba * 512)), "the boot sector starts sector {lba}");
    for image in &site.images {
        let Some(bios) = &image.manifest.bios else { continue };
        let core = &site.object(bios.object.id)?[440..];
        // The block list in the first sector is set for the place.
        let same = |part: std::ops::Range<usize>| -> anyhow::Result<bool> {
            Ok(device.read_vec(lba * 512 + part.start as u64, part.len())? == core[part])
        };
        if same(0..0x1f4)? && same(512..core.len())? {
            return Ok(());
        }
    }
    bail!("the boot sector starts a core image that is not whole")
}

/// Without further cuts the node comes up in few boots, with what is wanted or, if that is bad, with what was confirmed.
pub(super) fn settles(
    site: &Site,
    known: &Known,
    device: &SimDevice,
    wish: Option<usize>,
) -> anyhow::Result<()> {
    let mut tried = 0;
    // The last attempt, the boot that rolls back, and one to spare.
    for boots in 1..=u32::from(ATTEMPTS) + 2 {
        match power_on(site, device, wish)? {
            Outcome::Unhealthy(image) => {
                tried += 1;
                ensure!(site.is_bad(image), "a healthy image failed");
                ensure!(!known.quarantine.contains(&image), "a quarantined image is tried again");
                ensure!(tried <= ATTEMPTS, "tried {tried} times");
            }
            Outcome::Running(image) => {
                let wanted = wish.map(|wish| Sha256::of(&site.images[wish].bytes));
                let refused =
                    wanted.is_none_or(|wanted| site.is_bad(wanted) || known.quarantine.contains(&wanted));
                ensure!(refused || Some(image) == wanted, "something else runs than is wanted");
                ensure!(!site.is_bad(image), "a bad image runs for good");
                ensure!(boots <= 1 || wish.is_some_and(|wish| site.bad.contains(&wish)), "{boots} boots");
                // Switched off now, it is as good as before.
                let now = Known::of(device);
                ensure!(now.has_preferred(), "it runs and is not confirmed");
                return look(site, &now, device);
            }
            Outcome::Nothing(why) => {
                ensure!(!known.has_preferred() || known.rotten, "nothing boots: {why}");
                let hopeless = wish.is_none_or(|wish| site.bad.contains(&wish));
                ensure!(hopeless, "nothing boots, and the wish could be installed: {why}");
                return Ok(());
            }
        }
    }
    bail!("no running system after {} boots", u32::from(ATTEMPTS) + 2)
}

//! The agent from power-on to the verdict of the health checks, step by step as `init` and `health` do it, on the functions that
//! they use.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use image_format::device::sim::SimDevice;
use image_format::device::{Device, SECTOR};
use image_format::disk_layout::{ALIGN, Found, probe};
use image_format::record::Record;
use image_format::state::{Arrival, BootState, Decision, IllegalTransition, decide};
use image_format::{ObjectId, Sha256, Slot};

use super::super::super::install::Context;
use super::super::super::update::{Update, save};
use super::super::world::Image;
use super::site::{NodeDisk, Site, layout, node_disk};
use crate::disk::BootDisk;
use crate::init::recover;

/// Most steps of one boot, as in the agent.
const STEPS_MAX: usize = 12;
/// After how many boots without a verdict a slot is read before it is booted, as in the agent.
const SUSPICIOUS: u8 = 3;

/// How a power-on ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// This image runs, and stays up.
    Running(Sha256),
    /// This image ran, its checks failed, the machine restarts.
    Unhealthy(Sha256),
    /// Nothing can be booted.
    Nothing(String),
}

/// One power-on of the node with `wish` wanted, or without a server.
///
/// # Errors
/// What the disk says, or what the agent gives up with.
pub(super) fn power_on(site: &Site, device: &SimDevice, wish: Option<usize>) -> anyhow::Result<Outcome> {
    let wanted = wish.map(|number| &site.images[number]);
    let found = if is_laid_out(device) { Found::Bascule(layout()) } else { probe(device)? };
    match found {
        Found::Bascule(found) => ensure!(found == layout(), "another layout was found"),
        Found::Foreign(what) => bail!("the disk is taken for somebody else's: {what}"),
        Found::Blank => {
            if wanted.is_none() {
                return Ok(Outcome::Nothing("no disk".to_owned()));
            }
            let disk = BootDisk::new("sim", device, layout());
            disk.write_layout(&|| Ok(()))?;
            disk.save_record(&Record::default())?;
        }
    }
    // The server gives the wanted image's kernel to boot from the network.
    let kernel = wanted.map(|image| image.manifest.kernel.object.id);
    Agent::start(site, device, wanted, kernel).act(Arrival::Firmware)
}

/// Whether the partition table is whole and not marked: the answer of `probe` without its reading of two MiB.
fn is_laid_out(device: &SimDevice) -> bool {
    let table: BTreeMap<u64, Vec<u8>> = device.content(SECTOR..ALIGN);
    let backup = device.content(device.len() - ALIGN..device.len());
    // The marker is the last sector of the first MiB; header and two sectors of entries, at both ends.
    let complete = [1, 2, 3].iter().all(|sector| table.contains_key(&(sector * SECTOR)));
    complete && table.len() == 3 && backup.len() == 3 && table[&SECTOR].starts_with(b"EFI PART")
}

struct Agent<'a> {
    site: &'a Site,
    device: &'a SimDevice,
    disk: NodeDisk<'a>,
    record: Record,
    wanted: Option<&'a Image>,
    /// The kernel that runs.
    kernel: Option<ObjectId>,
}

type Change<'c> = &'c dyn Fn(&mut BootState) -> Result<(), IllegalTransition>;

impl<'a> Agent<'a> {
    fn start(
        site: &'a Site,
        device: &'a SimDevice,
        wanted: Option<&'a Image>,
        kernel: Option<ObjectId>,
    ) -> Self {
        let disk = node_disk(device);
        let released = |image: &crate::disk::SlotImage| {
            site.number(image.digest).map(drop).context("an image that nobody released")
        };
        let record = disk.load_record().record.unwrap_or_else(|| recover::rebuild_by(&disk, &released));
        Self { site, device, disk, record, wanted, kernel }
    }

    fn change(&mut self, change: Change<'_>) -> anyhow::Result<()> {
        Ok(save(&self.disk, &mut self.record, |next| change(&mut next.state))?)
    }

    fn act(mut self, arrival: Arrival) -> anyhow::Result<Outcome> {
        let mut arrival = arrival;
        for _ in 0..STEPS_MAX {
            let decision = decide(&self.record, self.wanted.map(Image::wanted).as_ref(), arrival);
            arrival = Arrival::Firmware;
            match decision {
                Decision::Continue { slot } => {
                    self.change(&|state| state.arrived(slot).map(drop))?;
                    if let Some(outcome) = self.boot(slot, true)? {
                        return Ok(outcome);
                    }
                }
                Decision::Boot { slot, .. } => {
                    if let Some(outcome) = self.boot(slot, false)? {
                        return Ok(outcome);
                    }
                }
                Decision::Install { slot, .. } => {
                    if self.install(slot).is_err() {
                        self.wanted = None;
                    }
                }
                Decision::FlipTo { slot } => {
                    let attempts = self.wanted.map_or(1, |image| image.manifest.health.attempts);
                    self.change(&|state| state.flip(slot, attempts))?;
                }
                Decision::RollBack { slot } => self.change(&|state| state.roll_back(slot).map(drop))?,
                Decision::Nothing { note } => return Ok(Outcome::Nothing(note.to_string())),
            }
        }
        bail!("no boot after {STEPS_MAX} steps: {:?}", self.record.state)
    }

    fn install(&mut self, slot: Slot) -> anyhow::Result<()> {
        let image = self.wanted.context("nothing is wanted")?;
        let update = Update { slot, running: None, job: image.job(), local_cmdline: "panic=10" };
        let mut server = self.site.server();
        let mut context = Context { source: &mut server, cold: &|| Ok(()), progress: &mut |_| {} };
        update.run(&self.disk, &mut self.record, &mut context)?;
        if let Some(bios) = &image.manifest.bios
            && !self.disk.bios_boot_is(bios.object.id)?
        {
            // Without it the node still boots from the network.
            let _told = self.disk.write_bios_boot(self.site.object(bios.object.id)?);
        }
        Ok(())
    }

    /// None: the slot is marked damaged.
    fn boot(&mut self, slot: Slot, counted: bool) -> anyhow::Result<Option<Outcome>> {
        let Some(image) = self.check(slot).or_else(|| self.check(slot)) else {
            self.change(&|state| state.damaged(slot, "check"))?;
            return Ok(None);
        };
        if !counted {
            let kernel = image.manifest.kernel.object.id;
            let kexec = self.kernel.is_some_and(|running| running != kernel);
            save(&self.disk, &mut self.record, |next| {
                next.unfinished_boots = next.unfinished_boots.saturating_add(1);
                if kexec { next.state.begin_kexec(slot) } else { next.state.begin_boot(slot) }.map(drop)
            })?;
            if kexec {
                let next = Agent::start(self.site, self.device, self.wanted, Some(kernel));
                return next.act(Arrival::Kexec).map(Some);
            }
        }
        // What dm-verity would find out while the system runs.
        let is_whole = || recover::verify(&self.disk.slot(slot), &image).is_ok();
        if !is_whole() && !is_whole() {
            self.change(&|state| state.damaged(slot, "dm-verity"))?;
            return Ok(None);
        }
        self.verdict(slot, image.digest).map(Some)
    }

    fn check(&self, slot: Slot) -> Option<crate::disk::SlotImage> {
        let image = self.disk.slot_image(slot).ok()?;
        let expected = self.record.state.slot(slot).image().map(|image| image.manifest);
        if expected != Some(image.digest) {
            return None;
        }
        let unfinished = self.record.unfinished_boots;
        let suspicious = unfinished > 0 && unfinished.is_multiple_of(SUSPICIOUS);
        let whole = !suspicious || recover::verify(&self.disk.slot(slot), &image).is_ok();
        whole.then_some(image)
    }

    fn verdict(&mut self, slot: Slot, digest: Sha256) -> anyhow::Result<Outcome> {
        let trial = self.record.state.attempt(slot).is_some();
        let healthy = !self.site.is_bad(digest);
        save(&self.disk, &mut self.record, |next| {
            next.unfinished_boots = 0;
            if healthy { next.state.confirm(slot) } else { next.state.fail(slot, "unhealthy") }
        })?;
        if healthy {
            // A network boot starts the slot also without it.
            let _told = self.disk.grub_prefer(slot);
        }
        Ok(if trial && !healthy { Outcome::Unhealthy(digest) } else { Outcome::Running(digest) })
    }
}

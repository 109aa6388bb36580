//! An installation with everything around it that a power cut must find in order.
//!
//! ```text
//! record: Writing (durable) ─▶ boot loader drops the slot ─▶ install ─▶ boot loader knows the slot ─▶ record: Trial (durable)
//! ```

use image_format::device::Device;
use image_format::grub_env::GrubEnvError;
use image_format::record::{ImageRef, Record, RecordError};
use image_format::slot_layout::{LayoutError, SlotLayout};
use image_format::state::{IllegalTransition, SlotState};
use image_format::{Sha256, Slot};

use super::boot_disk::{BootDisk, SlotImage};
use super::install::{Context, InstallError, InstallStats, Job, Seed, install};

/// What to install, and where.
#[derive(Debug, Clone, Copy)]
pub struct Update<'a> {
    /// The slot to write.
    pub slot: Slot,
    /// The slot that is running, if one is.
    pub running: Option<Slot>,
    /// The manifest's verified bytes, the same parsed, and the index. `resume` is overruled by what the record says.
    pub job: Job<'a>,
    /// The kernel command line by which the local boot loader starts this slot.
    pub local_cmdline: &'a str,
}

/// Why an update did not happen. The preferred slot is untouched.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The rules do not allow it; nothing was written.
    #[error("update refused")]
    Refused(#[from] IllegalTransition),
    /// The image does not fit; nothing was written.
    #[error("update refused: image does not fit the slot")]
    Layout(#[from] LayoutError),
    /// The record was not saved.
    #[error("update: boot record")]
    Record(#[from] RecordError),
    /// The boot loader's environment was not written.
    #[error("update: boot loader")]
    Grub(#[from] GrubEnvError),
    /// The installation failed.
    #[error("update: slot {slot}")]
    Install {
        /// Which slot.
        slot: Slot,
        /// Why.
        source: InstallError,
    },
}

impl Update<'_> {
    /// Installs, and leaves the slot on trial. `record` is the loaded one and is kept equal to what is saved.
    ///
    /// # Errors
    /// [`UpdateError`]; then the slot is not bootable, and the same update can be run again and takes up what is there.
    pub fn run<D: Device>(
        &self,
        disk: &BootDisk<D>,
        record: &mut Record,
        context: &mut Context<'_>,
    ) -> Result<InstallStats, UpdateError> {
        let Self { slot, running, job, local_cmdline } = *self;
        let manifest = job.manifest;
        let target = disk.slot(slot);
        let layout = SlotLayout::of(manifest, target.len())?;
        disk.grub_fits(slot, &layout, local_cmdline)?;
        let image = ImageRef::of(manifest, Sha256::of(job.manifest_bytes));
        let resume = matches!(
            record.state.slot(slot),
            SlotState::Writing { image: held } if held.manifest == image.manifest
        );
        save(disk, record, |next| next.state.begin_install(slot, &image, running))?;
        disk.grub_drop(slot)?;

        let other = disk.slot(!slot);
        let seed: Option<SlotImage> = disk.slot_image(!slot).ok();
        let seeds: Vec<Seed<'_>> = seed
            .iter()
            .map(|seed| Seed {
                device: &other,
                manifest: &seed.manifest,
                index: &seed.index,
                layout: &seed.layout,
            })
            .collect();
        let stats = install(&target, &Job { resume, ..job }, &seeds, context)
            .map_err(|source| UpdateError::Install { slot, source })?;

        disk.grub_add(slot, &layout, local_cmdline)?;
        save(disk, record, |next| next.state.installed(slot, manifest.health.attempts))?;
        Ok(stats)
    }
}

/// Changes a copy, saves it, and only then takes it over: memory never runs ahead of the disk.
///
/// # Errors
/// When the transition is refused or the record cannot be saved; `record` is then as before.
pub fn save<D: Device>(
    disk: &BootDisk<D>,
    record: &mut Record,
    change: impl FnOnce(&mut Record) -> Result<(), IllegalTransition>,
) -> Result<(), UpdateError> {
    let mut next = record.clone();
    change(&mut next)?;
    disk.save_record(&next)?;
    *record = next;
    Ok(())
}

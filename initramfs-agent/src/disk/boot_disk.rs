//! The disk in use.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use image_format::device::{Device, FileDevice, Window};
use image_format::disk_layout::{self, BiosBootError, Found, Layout, Partition};
use image_format::document::DocumentError;
use image_format::grub_env::{GrubEnv, GrubEnvError, GrubSlot};
use image_format::index::{Index, IndexError};
use image_format::proof::{self, Proof, ProofError};
use image_format::record::{self, Loaded, Record, RecordError};
use image_format::slot_layout::{self, LayoutError, SlotLayout};
use image_format::{Manifest, ObjectId, Sha256, Slot};

use super::find::Disk;

/// Empties the caches of an open block device, so that the next read comes from the disk.
pub type DropCache = fn(&File) -> io::Result<()>;

/// Why something about the disk failed.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The device failed.
    #[error("disk {disk}: {operation}")]
    Io {
        /// Which disk.
        disk: String,
        /// What was done.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The layout was written, and something else was read.
    #[error("disk {disk}: partition table was written, and then found: {found}")]
    LayoutReadBack {
        /// Which disk.
        disk: String,
        /// What was found.
        found: String,
    },
}

/// What a slot's valid proof area says.
#[derive(Debug, Clone)]
pub struct SlotImage {
    /// The manifest as written at installation.
    pub manifest_bytes: Vec<u8>,
    /// The same, parsed.
    pub manifest: Manifest,
    /// SHA-256 of its bytes.
    pub digest: Sha256,
    /// The root's chunks.
    pub index: Index,
    /// The metadata that are to prove it, unverified.
    pub evidence: Vec<u8>,
    /// Where the parts lie in the slot.
    pub layout: SlotLayout,
}

/// Why a slot does not say what it holds.
#[derive(Debug, thiserror::Error)]
pub enum SlotImageError {
    /// No valid proof area.
    #[error("slot {slot}: no valid proof area")]
    Proof {
        /// Which slot.
        slot: Slot,
        /// Why.
        source: ProofError,
    },
    /// The manifest in it does not parse.
    #[error("slot {slot}: manifest in the proof area")]
    Manifest {
        /// Which slot.
        slot: Slot,
        /// Why.
        source: DocumentError,
    },
    /// The index in it does not parse.
    #[error("slot {slot}: index in the proof area")]
    Index {
        /// Which slot.
        slot: Slot,
        /// Why.
        source: IndexError,
    },
    /// The image does not fit the partition.
    #[error("slot {slot}: image in the proof area")]
    Layout {
        /// Which slot.
        slot: Slot,
        /// Why.
        source: LayoutError,
    },
    /// The index is not the one of the manifest.
    #[error("slot {slot}: index in the proof area: expected object {expected}, found {found}")]
    OtherIndex {
        /// Which slot.
        slot: Slot,
        /// What the manifest names.
        expected: ObjectId,
        /// What is there.
        found: ObjectId,
    },
}

/// A disk with our layout. `D` is a [`FileDevice`] except in tests.
#[derive(Debug)]
pub struct BootDisk<D: Device = FileDevice> {
    name: String,
    device: D,
    layout: Layout,
}

impl BootDisk<FileDevice> {
    /// Opens a disk that has `layout`.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn open(disk: &Disk, layout: Layout) -> Result<Self, DiskError> {
        let device = FileDevice::open(&disk.path).map_err(|source| DiskError::Io {
            disk: disk.name.clone(),
            operation: "open",
            source,
        })?;
        Ok(Self { name: disk.name.clone(), device, layout })
    }

    /// Opens a disk by its device node, `/dev/vda`, and expects our layout there: for the agent in the booted system.
    ///
    /// # Errors
    /// [`DiskError`]; also when something else is there.
    pub fn open_path(path: &std::path::Path) -> Result<Self, DiskError> {
        let name = path.display().to_string();
        let io = |operation| {
            let disk = name.clone();
            move |source| DiskError::Io { disk, operation, source }
        };
        let device = FileDevice::open(path).map_err(io("open"))?;
        match disk_layout::probe(&device).map_err(io("read partition table"))? {
            Found::Bascule(layout) => Ok(Self { name, device, layout }),
            other => Err(DiskError::LayoutReadBack { disk: name, found: format!("{other:?}") }),
        }
    }

    /// Makes the layout on a disk. Everything on it is lost: the caller has chosen it by [`super::Survey::new_disk`].
    /// The kernel must then be told to read the partition table again.
    ///
    /// # Errors
    /// [`DiskError`]; then the disk counts as blank and this can be done again.
    pub fn create(disk: &Disk, layout: Layout, drop_cache: DropCache) -> Result<Self, DiskError> {
        let created = Self::open(disk, layout)?;
        created.write_layout(&|| drop_cache(created.device.file()))?;
        Ok(created)
    }

    /// The open disk, for system calls.
    pub fn file(&self) -> &File {
        self.device.file()
    }

    /// Device node of the disk.
    pub fn path(&self) -> PathBuf {
        self.device.path().to_owned()
    }

    /// Device node of `partition`: `/dev/vda4`, `/dev/nvme0n1p4`.
    pub fn partition_path(&self, partition: Partition) -> PathBuf {
        let disk = self.device.path().to_string_lossy();
        let p = if disk.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
        PathBuf::from(format!("{disk}{p}{}", partition.number()))
    }
}

impl<D: Device> BootDisk<D> {
    /// A disk with `layout` on any device.
    pub fn new(name: &str, device: D, layout: Layout) -> Self {
        Self { name: name.to_owned(), device, layout }
    }

    /// Writes the layout and reads it back after `cold` has emptied the caches.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn write_layout(&self, cold: &dyn Fn() -> io::Result<()>) -> Result<(), DiskError> {
        disk_layout::write(&self.device, &self.layout).map_err(self.io("write partition table"))?;
        cold().map_err(self.io("empty caches"))?;
        match disk_layout::probe(&self.device).map_err(self.io("read partition table"))? {
            Found::Bascule(found) if found == self.layout => Ok(()),
            found => Err(DiskError::LayoutReadBack { disk: self.name.clone(), found: format!("{found:?}") }),
        }
    }

    fn io(&self, operation: &'static str) -> impl FnOnce(io::Error) -> DiskError + use<'_, D> {
        move |source| DiskError::Io { disk: self.name.clone(), operation, source }
    }

    /// Name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The device.
    pub const fn device(&self) -> &D {
        &self.device
    }

    /// Where the partitions lie.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// `partition` as a device.
    pub fn partition(&self, partition: Partition) -> Window<&D> {
        self.layout.open(&self.device, partition).expect("a layout is only made for a disk that holds it")
    }

    /// A slot as a device.
    pub fn slot(&self, slot: Slot) -> Window<&D> {
        self.partition(Partition::Slot(slot))
    }

    /// The record and what is damaged of it.
    pub fn load_record(&self) -> Loaded {
        record::load(&self.partition(Partition::Record))
    }

    /// Saves the record durably.
    ///
    /// # Errors
    /// [`RecordError`]; then the older record is still there.
    pub fn save_record(&self, record: &Record) -> Result<(), RecordError> {
        record::save(&self.partition(Partition::Record), record)
    }

    /// What `slot` holds by its own account. The index is checked against the manifest; the manifest must be checked against
    /// the evidence or signed metadata, the root by dm-verity.
    ///
    /// # Errors
    /// [`SlotImageError`].
    pub fn slot_image(&self, slot: Slot) -> Result<SlotImage, SlotImageError> {
        let window = self.slot(slot);
        // A partition shorter than the area has no proof: reading at 0 says so.
        let offset = slot_layout::proof_offset(window.len()).unwrap_or(0);
        let Proof { manifest: manifest_bytes, index, evidence } =
            Proof::read(&window, offset).map_err(|source| SlotImageError::Proof { slot, source })?;
        let manifest =
            Manifest::parse(&manifest_bytes).map_err(|source| SlotImageError::Manifest { slot, source })?;
        let (expected, found) = (manifest.root.index.id, ObjectId::of(&index));
        if expected != found {
            return Err(SlotImageError::OtherIndex { slot, expected, found });
        }
        let index = Index::parse(&index).map_err(|source| SlotImageError::Index { slot, source })?;
        let layout = SlotLayout::of(&manifest, window.len())
            .map_err(|source| SlotImageError::Layout { slot, source })?;
        let digest = Sha256::of(&manifest_bytes);
        Ok(SlotImage { manifest_bytes, manifest, digest, index, evidence, layout })
    }

    /// Makes the proof area of `slot` invalid, durably.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn invalidate(&self, slot: Slot) -> Result<(), DiskError> {
        let window = self.slot(slot);
        let offset = slot_layout::proof_offset(window.len()).unwrap_or(0);
        proof::invalidate(&window, offset).map_err(self.io("invalidate a slot's proof area"))
    }

    /// Changes the boot loader's environment, durably and as a whole.
    ///
    /// # Errors
    /// [`GrubEnvError`].
    pub fn change_grub(&self, change: impl FnOnce(&mut GrubEnv)) -> Result<(), GrubEnvError> {
        let bios = self.partition(Partition::Bios);
        let mut env = GrubEnv::load(&bios)?;
        change(&mut env);
        env.save(&bios)
    }

    /// The boot loader no longer starts `slot`; if it did, it starts the other one.
    ///
    /// # Errors
    /// [`GrubEnvError`].
    pub fn grub_drop(&self, slot: Slot) -> Result<(), GrubEnvError> {
        self.change_grub(|env| {
            env.set_slot(slot, None);
            if env.boot == Some(slot) {
                env.boot = env.slot(!slot).map(|_| !slot);
            }
        })
    }

    /// Whether the boot loader's environment has room for this entry of `slot` beside the other slot's. Nothing is written.
    ///
    /// # Errors
    /// [`GrubEnvError::TooLong`] when not.
    pub fn grub_fits(&self, slot: Slot, layout: &SlotLayout, cmdline: &str) -> Result<(), GrubEnvError> {
        let mut env = GrubEnv::load(&self.partition(Partition::Bios))?;
        env.set_slot(slot, Some(GrubSlot::of(layout, cmdline)));
        env.boot = Some(slot);
        env.encode().map(drop)
    }

    /// The boot loader can start `slot`, and does so if it could start none before.
    ///
    /// # Errors
    /// [`GrubEnvError`].
    pub fn grub_add(&self, slot: Slot, layout: &SlotLayout, cmdline: &str) -> Result<(), GrubEnvError> {
        self.change_grub(|env| {
            env.set_slot(slot, Some(GrubSlot::of(layout, cmdline)));
            env.boot = env.boot.or(Some(slot));
        })
    }

    /// The boot loader starts `slot` from now on: it was confirmed.
    ///
    /// # Errors
    /// [`GrubEnvError`].
    pub fn grub_prefer(&self, slot: Slot) -> Result<(), GrubEnvError> {
        self.change_grub(|env| {
            if env.slot(slot).is_some() {
                env.boot = Some(slot);
            }
        })
    }

    /// Whether the boot loader `id` is on the disk, so that it need not be fetched.
    ///
    /// # Errors
    /// What the device says.
    pub fn bios_boot_is(&self, id: ObjectId) -> io::Result<bool> {
        disk_layout::bios_boot::is_current(&self.device, &self.layout, id)
    }

    /// Puts the boot loader on the disk, unless it is there.
    ///
    /// # Errors
    /// [`BiosBootError`]; the boot loader that was there still starts.
    pub fn write_bios_boot(&self, object: &[u8]) -> Result<(), BiosBootError> {
        disk_layout::write_bios_boot(&self.device, &self.layout, object)
    }
}

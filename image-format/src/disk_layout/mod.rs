//! The node's disk: six GPT partitions, the same on every node.
//!
//! | no | name | length | content |
//! | --- | --- | --- | --- |
//! | 1 | `bascule-bios` | 2 MiB | GRUB's core image ([`bios_boot`]); its last sector is GRUB's environment block |
//! | 2 | `bascule-esp` | 256 MiB | for UEFI boot files |
//! | 3 | `bascule-record` | 16 MiB | the boot record, two copies |
//! | 4, 5 | `bascule-a`, `bascule-b` | from the manifest | the slots |
//! | 6 | `bascule-state` | the rest | the only writable space of the booted system |
//!
//! Everything is aligned to 1 MiB. Sectors are 512 bytes: GRUB's block lists and the one-sector environment block need them.
//!
//! Making the layout can be interrupted at any write: a marker sector ([`table::write`]) is durable before anything else and
//! removed last, and a disk with the marker counts as blank again. A complete layout is recognised by partition numbers, type
//! GUIDs, names and sizes together; anything else on a disk is foreign and is not touched without consent.

pub mod bios_boot;
mod foreign;
mod probe;
mod table;
#[cfg(test)]
mod tests;

use std::io;

use crate::Slot;
use crate::device::{Device, Window};
use crate::manifest::DiskSizes;
use crate::slot_layout::Extent;

pub use self::bios_boot::{BiosBootError, write_bios_boot};
pub use self::probe::{Found, probe};
pub use self::table::write;

/// Alignment of every partition, and the length of the areas at both ends of the disk that belong to the partition table.
pub const ALIGN: u64 = 1 << 20;
/// Length of `bascule-bios`.
pub const BIOS_LEN: u64 = 2 << 20;
/// Length of `bascule-esp`.
pub const ESP_LEN: u64 = 256 << 20;
/// Length of `bascule-record`.
pub const RECORD_LEN: u64 = 16 << 20;

/// A partition of the layout. Its GPT number is its place here, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partition {
    /// GRUB.
    Bios,
    /// UEFI boot files.
    Esp,
    /// The boot record.
    Record,
    /// A slot.
    Slot(Slot),
    /// State of the booted system.
    State,
}

impl Partition {
    /// All, in disk order.
    pub const ALL: [Self; 6] =
        [Self::Bios, Self::Esp, Self::Record, Self::Slot(Slot::A), Self::Slot(Slot::B), Self::State];

    /// GPT partition number, from 1: the `4` of `vda4`.
    pub const fn number(self) -> u32 {
        match self {
            Self::Bios => 1,
            Self::Esp => 2,
            Self::Record => 3,
            Self::Slot(Slot::A) => 4,
            Self::Slot(Slot::B) => 5,
            Self::State => 6,
        }
    }

    /// GPT partition name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bios => "bascule-bios",
            Self::Esp => "bascule-esp",
            Self::Record => "bascule-record",
            Self::Slot(slot) => slot.partition(),
            Self::State => "bascule-state",
        }
    }

    /// GPT type. The first two are the well-known ones; the others are ours, so that no tool mounts or formats them by type.
    pub const fn type_guid(self) -> &'static str {
        match self {
            Self::Bios => "21686148-6449-6e6f-744e-656564454649",
            Self::Esp => "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
            Self::Record => "6f1a7c52-3d0e-4b7e-9c41-b5c2e0a1d701",
            Self::Slot(Slot::A) => "6f1a7c52-3d0e-4b7e-9c41-b5c2e0a1d70a",
            Self::Slot(Slot::B) => "6f1a7c52-3d0e-4b7e-9c41-b5c2e0a1d70b",
            Self::State => "6f1a7c52-3d0e-4b7e-9c41-b5c2e0a1d705",
        }
    }
}

/// Why a disk cannot hold the layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Too small.
    #[error(
        "disk too small: two slots of {slot_mib} MiB and {state_mib} MiB of state need {needed} bytes, the disk has {found}"
    )]
    TooSmall {
        /// Wanted slot size.
        slot_mib: u64,
        /// Wanted state size.
        state_mib: u64,
        /// Bytes needed in all.
        needed: u64,
        /// Length of the disk.
        found: u64,
    },
    /// The manifest asks for a slot of no size, or for sizes beyond 64 bits.
    #[error("disk sizes: slots of {slot_mib} MiB and state of {state_mib} MiB are not possible")]
    Sizes {
        /// Wanted slot size.
        slot_mib: u64,
        /// Wanted state size.
        state_mib: u64,
    },
}

/// Where the partitions lie, in bytes of the whole disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    disk_len: u64,
    slot_len: u64,
    state_len: u64,
}

impl Layout {
    /// The layout of a disk of `disk_len` bytes: slots as `sizes` says, the rest for the state, which has 1 MiB at the least.
    ///
    /// # Errors
    /// [`PlanError`], with the sizes.
    pub fn plan(disk_len: u64, sizes: &DiskSizes) -> Result<Self, PlanError> {
        let DiskSizes { slot_mib, state_mib } = *sizes;
        let impossible = PlanError::Sizes { slot_mib, state_mib };
        let bytes = |mib: u64| mib.checked_mul(ALIGN).filter(|len| *len > 0);
        let (Some(slot_len), Some(state_min)) = (bytes(slot_mib), bytes(state_mib.max(1))) else {
            return Err(impossible);
        };
        let needed = slot_len
            .checked_mul(2)
            .and_then(|slots| slots.checked_add(state_min)?.checked_add(FIXED_LEN + ALIGN))
            .ok_or(impossible)?;
        if disk_len < needed {
            return Err(PlanError::TooSmall { slot_mib, state_mib, needed, found: disk_len });
        }
        let state_len = (disk_len - ALIGN - FIXED_LEN - 2 * slot_len) / ALIGN * ALIGN;
        Ok(Self { disk_len, slot_len, state_len })
    }

    /// The layout with these slot and state lengths, if it is one that [`Layout::plan`] could have made.
    fn checked(disk_len: u64, slot_len: u64, state_len: u64) -> Option<Self> {
        let aligned = |len: u64| len > 0 && len.is_multiple_of(ALIGN);
        let end = slot_len.checked_mul(2)?.checked_add(state_len)?.checked_add(FIXED_LEN + ALIGN)?;
        (aligned(slot_len) && aligned(state_len) && end <= disk_len).then_some(Self {
            disk_len,
            slot_len,
            state_len,
        })
    }

    /// Where `partition` lies.
    pub const fn extent(&self, partition: Partition) -> Extent {
        let esp = ALIGN + BIOS_LEN;
        let record = esp + ESP_LEN;
        let a = record + RECORD_LEN;
        match partition {
            Partition::Bios => Extent { offset: ALIGN, len: BIOS_LEN },
            Partition::Esp => Extent { offset: esp, len: ESP_LEN },
            Partition::Record => Extent { offset: record, len: RECORD_LEN },
            Partition::Slot(Slot::A) => Extent { offset: a, len: self.slot_len },
            Partition::Slot(Slot::B) => Extent { offset: a + self.slot_len, len: self.slot_len },
            Partition::State => Extent { offset: a + 2 * self.slot_len, len: self.state_len },
        }
    }

    /// Length of each slot partition.
    pub const fn slot_len(&self) -> u64 {
        self.slot_len
    }

    /// Length of the disk.
    pub const fn disk_len(&self) -> u64 {
        self.disk_len
    }

    /// `partition` of `disk` as a device of its own.
    ///
    /// # Errors
    /// `InvalidInput` when `disk` is not the disk of this layout.
    pub fn open<D: Device>(&self, disk: D, partition: Partition) -> io::Result<Window<D>> {
        let extent = self.extent(partition);
        Window::new(disk, extent.offset, extent.len)
    }
}

/// Where the first slot begins.
const FIXED_LEN: u64 = ALIGN + BIOS_LEN + ESP_LEN + RECORD_LEN;

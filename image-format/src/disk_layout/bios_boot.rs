//! GRUB on the disk, for starting without the network by BIOS.
//!
//! The object ([`crate::manifest::BiosBoot`]) is 440 bytes of `boot.img` and a core image whose first sector is `diskboot.img`.
//! GRUB finds its parts by sector numbers inside its own code, which are set here:
//!
//! * `boot.img` 0x5c: u64 LE, the disk sector of the core image (`GRUB_BOOT_MACHINE_KERNEL_SECTOR`);
//! * `boot.img` 0x66: two bytes, NOPs on a hard disk, so that a wrong boot drive number from the BIOS is corrected
//!   (`GRUB_BOOT_MACHINE_DRIVE_CHECK`);
//! * `diskboot.img` 0x1f4: the last block list entry, u64 LE disk sector of the core's second sector, u16 LE count of sectors
//!   (set by `grub-mkimage`), u16 LE segment 0x820.
//!
//! The partition has two halves of 1 MiB. A new core image goes to the half that is not in use and is flushed; then the one
//! sector with the MBR switches. A cut at any point leaves the old or the new boot loader, never a mix. A stamp sector at the
//! end of each half names the object that the half holds, so that nothing is rewritten when it is there already.

use std::fmt::Display;
use std::io;

use super::{ALIGN, Layout, Partition};
use crate::ObjectId;
use crate::device::{Device, SECTOR};

/// Length of the code area of a boot sector.
pub const BOOT_CODE_LEN: usize = 440;
/// Longest core image: a half of the partition without its stamp and without the environment block.
pub const CORE_MAX: u64 = ALIGN - 2 * SECTOR;

const KERNEL_SECTOR: usize = 0x5c;
const DRIVE_CHECK: usize = 0x66;
const LAST_BLOCK_LIST: usize = 0x1f4;
const SEGMENT: u16 = 0x820;
const STAMP: &[u8; 8] = b"BSCLBIO1";

/// Why GRUB was not written.
#[derive(Debug, thiserror::Error)]
pub enum BiosBootError {
    /// Not the object that this code knows how to set up.
    #[error("BIOS boot object: {what}: expected {expected}, found {found}")]
    Unexpected {
        /// Which field.
        what: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Other bytes came back than were written.
    #[error("BIOS boot: not the bytes that were written come back at {0}")]
    ReadBack(u64),
    /// The device failed.
    #[error("BIOS boot: access failed")]
    Io(#[from] io::Error),
}

fn unexpected(what: &'static str, expected: &dyn Display, found: &dyn Display) -> BiosBootError {
    BiosBootError::Unexpected { what, expected: expected.to_string(), found: found.to_string() }
}

/// Checks the object and gives the boot code and the core image, both set up for a core at `lba`.
fn patched(object: &[u8], lba: u64) -> Result<([u8; BOOT_CODE_LEN], Vec<u8>), BiosBootError> {
    let Some((code, core)) = object.split_first_chunk::<BOOT_CODE_LEN>() else {
        return Err(unexpected("length", &format!("more than {BOOT_CODE_LEN} bytes"), &object.len()));
    };
    if core.len() <= SECTOR as usize || core.len() as u64 > CORE_MAX {
        return Err(unexpected("core image", &format!("{} to {CORE_MAX} bytes", SECTOR + 1), &core.len()));
    }
    if code[0] != 0xeb {
        return Err(unexpected("boot code", &"a jump (eb)", &format!("{:02x}", code[0])));
    }
    let (mut code, mut core) = (*code, core.to_vec());
    let field = |at: usize| u16::from_le_bytes([core[at], core[at + 1]]);
    let (count, segment) = (field(LAST_BLOCK_LIST + 8), field(LAST_BLOCK_LIST + 10));
    if segment != SEGMENT {
        return Err(unexpected("block list segment", &format!("{SEGMENT:#x}"), &format!("{segment:#x}")));
    }
    let sectors = (core.len() as u64 - SECTOR).div_ceil(SECTOR);
    if u64::from(count) != sectors {
        return Err(unexpected("block list length", &sectors, &count));
    }
    code[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&lba.to_le_bytes());
    code[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[0x90, 0x90]);
    core[LAST_BLOCK_LIST..LAST_BLOCK_LIST + 8].copy_from_slice(&(lba + 1).to_le_bytes());
    Ok((code, core))
}

fn stamp(id: ObjectId) -> [u8; SECTOR as usize] {
    let mut sector = [0; SECTOR as usize];
    sector[..8].copy_from_slice(STAMP);
    sector[8..40].copy_from_slice(id.as_bytes());
    sector
}

/// Where the halves begin on the disk.
fn halves(layout: &Layout) -> [u64; 2] {
    let bios = layout.extent(Partition::Bios).offset;
    [bios, bios + ALIGN]
}

const STAMP_OFFSET: u64 = CORE_MAX;

/// The half that the boot sector starts, if it starts one of ours.
fn active(disk: &dyn Device, layout: &Layout) -> io::Result<Option<u64>> {
    let code = disk.read_vec(0, BOOT_CODE_LEN)?;
    let mut lba = [0; 8];
    lba.copy_from_slice(&code[KERNEL_SECTOR..KERNEL_SECTOR + 8]);
    let lba = u64::from_le_bytes(lba);
    Ok(halves(layout).into_iter().find(|half| code[0] == 0xeb && half / SECTOR == lba))
}

/// Whether the boot loader in use is the object `id`, so that it need not be fetched.
///
/// # Errors
/// What the device says.
pub fn is_current(disk: &dyn Device, layout: &Layout, id: ObjectId) -> io::Result<bool> {
    match active(disk, layout)? {
        Some(half) => Ok(disk.read_vec(half + STAMP_OFFSET, SECTOR as usize)? == stamp(id)),
        None => Ok(false),
    }
}

/// Puts the boot loader `object` on the disk, unless it is there.
///
/// # Errors
/// [`BiosBootError`]; until the last flush the boot loader that was there still starts.
pub fn write_bios_boot(disk: &dyn Device, layout: &Layout, object: &[u8]) -> Result<(), BiosBootError> {
    let id = ObjectId::of(object);
    if is_current(disk, layout, id)? {
        return Ok(());
    }
    let [first, second] = halves(layout);
    let half = if active(disk, layout)? == Some(first) { second } else { first };
    let (code, core) = patched(object, half / SECTOR)?;
    disk.write_at(&core, half)?;
    disk.write_at(&stamp(id), half + STAMP_OFFSET)?;
    // Twice: a boot sector that starts a core image which one flush has lost would start nothing.
    disk.flush()?;
    disk.flush()?;
    if disk.read_vec(half, core.len())? != core {
        return Err(BiosBootError::ReadBack(half));
    }
    let mut sector = disk.read_vec(0, SECTOR as usize)?;
    sector[..BOOT_CODE_LEN].copy_from_slice(&code);
    disk.write_at(&sector, 0)?;
    disk.flush()?;
    if disk.read_vec(0, SECTOR as usize)? == sector { Ok(()) } else { Err(BiosBootError::ReadBack(0)) }
}

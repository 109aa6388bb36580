//! GRUB's images for starting a slot from the local disk of a BIOS machine.
//!
//! The object is the first 440 bytes of `boot.img`, then the core image. Whoever puts it on a disk patches two numbers,
//! as `grub-install` would: the sector of the core image into the boot code (8 bytes at 0x5c), and the sector behind it
//! into the core image's first sector (8 bytes at 0x1f4).
//!
//! The configuration is in a memory disk inside of the core image, because the core image's plain embedded configuration
//! knows neither `if` nor `for`. GRUB 2.06 appends `BOOT_IMAGE=…` to the kernel's command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::tools;

const CONFIG: &str = include_str!("grub.cfg");
/// Where the memory disk has the configuration.
const CONFIG_PATH: &str = "boot/grub/grub.cfg";
/// Debian package `grub-pc-bin`.
const GRUB_DIR: &str = "/usr/lib/grub/i386-pc";
/// The boot code's share of the first sector; behind it are the disk's signature and the partition table.
const BOOT_CODE_LEN: usize = 440;
/// The partition has 2 MiB, its last sector is the environment block; the kernel's loader sets a lower limit.
const CORE_MAX: usize = 448 << 10;
/// What the configuration uses.
const MODULES: [&str; 15] = [
    "biosdisk", "boot", "echo", "linux", "loadenv", "memdisk", "normal", "part_gpt", "reboot", "regexp",
    "serial", "sleep", "tar", "terminal", "test",
];

/// Makes the object, with temporary files in `work`.
pub(crate) fn encode(work: &Path) -> anyhow::Result<Vec<u8>> {
    let directory = PathBuf::from(GRUB_DIR);
    let boot_image = directory.join("boot.img");
    if !boot_image.is_file() {
        bail!("{} is missing: install the Debian package grub-pc-bin", boot_image.display());
    }
    let memdisk = work.join("grub-memdisk.tar");
    let core = work.join("grub-core.img");
    fs::write(&memdisk, memory_disk()?).with_context(|| format!("write {}", memdisk.display()))?;
    let mut command = Command::new("grub-mkimage");
    command.args(["--format", "i386-pc", "--prefix", "(memdisk)/boot/grub", "--memdisk"]);
    command.arg(&memdisk).arg("--output").arg(&core).args(MODULES);
    tools::run(&mut command, "grub-common")?;

    let read = |path: &Path| fs::read(path).with_context(|| format!("read {}", path.display()));
    let boot_code = read(&boot_image)?;
    let core = read(&core)?;
    if boot_code.len() < BOOT_CODE_LEN || core.len() > CORE_MAX {
        bail!(
            "GRUB: expected boot code of {BOOT_CODE_LEN} bytes or more and a core image of at most {CORE_MAX}, \
             found {} and {}",
            boot_code.len(),
            core.len()
        );
    }
    Ok([&boot_code[..BOOT_CODE_LEN], &core].concat())
}

/// A tar archive with the configuration.
fn memory_disk() -> anyhow::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(CONFIG.len() as u64);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, CONFIG_PATH, CONFIG.as_bytes()).context("write GRUB's memory disk")?;
    builder.into_inner().context("write GRUB's memory disk")
}

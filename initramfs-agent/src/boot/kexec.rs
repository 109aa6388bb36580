//! Starting the slot's own kernel when another one is running.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd as _;

use anyhow::Context as _;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::system::{RebootCommand, reboot};

use crate::sys;

/// Loads a kernel and an initramfs and starts them. Returns only when it fails.
///
/// # Errors
/// The kernel refuses; nothing has changed then.
pub fn start(kernel: &[u8], initramfs: &[u8], cmdline: &str) -> anyhow::Result<std::convert::Infallible> {
    let kernel = in_memory("kernel", kernel)?;
    let initramfs = in_memory("initramfs", initramfs)?;
    sys::kexec::load(kernel.as_fd(), initramfs.as_fd(), cmdline).context("kexec_file_load")?;
    rustix::fs::sync();
    reboot(RebootCommand::Kexec).context("start the loaded kernel")?;
    anyhow::bail!("start the loaded kernel: the call returned")
}

fn in_memory(name: &str, bytes: &[u8]) -> anyhow::Result<File> {
    let write = || -> std::io::Result<File> {
        let mut file = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
        file.write_all(bytes)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    };
    write().with_context(|| format!("keep the {name} in memory"))
}

//! The root of the booted system: the verified image below, memory above.

use std::ffi::CString;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::Paths;

/// Mounts the image and the overlay on it.
///
/// # Errors
/// Names the mount; what was mounted before is unmounted again.
pub fn assemble(device: &Path, paths: &Paths<'_>) -> anyhow::Result<()> {
    let (lower, memory) = (paths.run.join("lower"), paths.run.join("overlay"));
    for directory in [&lower, &memory, paths.sysroot] {
        fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    }
    mount(device, &lower, "erofs", MountFlags::RDONLY | MountFlags::NODEV, c"").with_context(|| {
        format!("mount the EROFS image on {}: is the module erofs loaded?", device.display())
    })?;
    let result = overlay(&lower, &memory, paths);
    if result.is_err() {
        disassemble(paths);
    }
    result
}

fn overlay(lower: &Path, memory: &Path, paths: &Paths<'_>) -> anyhow::Result<()> {
    mount("tmpfs", memory, "tmpfs", MountFlags::NODEV, c"mode=0755")
        .context("mount tmpfs for the overlay")?;
    mount_overlay(lower, memory, paths.sysroot, MountFlags::empty()).context("mount the overlay on the image")
}

/// Mounts an overlay of `lower` and of the directories `upper` and `work` in `writable`.
pub(super) fn mount_overlay(
    lower: &Path,
    writable: &Path,
    at: &Path,
    flags: MountFlags,
) -> anyhow::Result<()> {
    let (upper, work) = (writable.join("upper"), writable.join("work"));
    for directory in [&upper, &work] {
        fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    }
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    let options = CString::new(options).context("overlay options")?;
    mount("overlay", at, "overlay", flags, options.as_c_str())?;
    Ok(())
}

/// Unmounts everything again, so that another slot can be tried. What is not mounted is no error.
pub fn disassemble(paths: &Paths<'_>) {
    let var = paths.sysroot.join("var");
    let (memory, lower) = (paths.run.join("overlay"), paths.run.join("lower"));
    for mounted in [var.as_path(), paths.sysroot, &memory, &lower] {
        let _not_mounted = unmount(mounted, UnmountFlags::DETACH);
    }
}

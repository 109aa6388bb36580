//! The first moments of PID 1: kernel file systems and a console.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::Context as _;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

/// Seconds after which a panicking kernel reboots, where the command line says nothing: a node that stands still helps nobody.
const PANIC_SECONDS: &str = "10";

/// Mounts the kernel's file systems and connects standard input and output to the console.
///
/// # Errors
/// The first mount that fails; nothing works without it.
pub(super) fn prepare() -> anyhow::Result<()> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    for (kind, at, flags, data) in [
        ("proc", "/proc", quiet, c""),
        ("sysfs", "/sys", quiet, c""),
        ("devtmpfs", "/dev", MountFlags::NOSUID | MountFlags::NOEXEC, c"mode=0755"),
        ("tmpfs", "/run", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755"),
    ] {
        mount_once(kind, at, flags, data).with_context(|| format!("mount {kind} on {at}"))?;
    }
    connect_console().context("open /dev/console")?;
    crate::console::copy_to_kernel_log();
    settle_kernel();
    Ok(())
}

fn mount_once(kind: &str, at: &str, flags: MountFlags, data: &std::ffi::CStr) -> io::Result<()> {
    fs::create_dir_all(at)?;
    match mount(kind, at, kind, flags, data) {
        Ok(()) | Err(Errno::BUSY) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn connect_console() -> io::Result<()> {
    let console = File::options().read(true).write(true).open("/dev/console")?;
    rustix::stdio::dup2_stdin(&console)?;
    rustix::stdio::dup2_stdout(&console)?;
    rustix::stdio::dup2_stderr(&console)?;
    Ok(())
}

/// Settings that make the boot observable and keep a dead node from standing still. None of them is needed to boot.
fn settle_kernel() {
    let panic = Path::new("/proc/sys/kernel/panic");
    if fs::read_to_string(panic).is_ok_and(|text| text.trim() == "0") {
        let _optional = write_setting(panic, PANIC_SECONDS);
    }
    let _optional = write_setting(Path::new("/proc/sys/kernel/printk_devkmsg"), "on");
}

fn write_setting(path: &Path, value: &str) -> io::Result<()> {
    use std::io::Write as _;
    File::options().write(true).open(path)?.write_all(value.as_bytes())
}

//! The state partition: made when blank, checked, mounted, and laid over `/var` and parts of `/etc`.
//!
//! The tools to make and check it come from the verified image, so that the initramfs stays small. A state partition that
//! cannot be used does not stop the boot: the node comes up with a volatile `/var` and says so.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use image_format::Manifest;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use super::{Paths, bind, identity, root};
use crate::net::Mac;
use crate::process::{self, Command, Outcome};

/// Magic number of ext2 and its successors.
const MAGIC: u16 = 0xef53;

/// Where the superblock has it, in bytes from the start of the partition.
const MAGIC_AT: u64 = 1024 + 56;

/// Where its state is: bit 0 says that it was left clean or has a journal to be replayed, bit 1 that errors were seen.
const STATE_AT: u64 = 1024 + 58;

/// How much of a blank partition must be zero: what laying out the disk erases.
const BLANK_LEN: usize = 64 << 10;

/// For making or checking a large file system.
const TOOL_LIMIT: Duration = Duration::from_secs(600);

/// What lies on the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Blank,
    /// Good as far as it knows; the kernel replays its journal when it is mounted.
    Ext4,
    /// Errors were seen.
    Ext4Damaged,
    Other,
}

/// Makes the state available below `paths.run/state`, over `/sysroot/var` and in `/sysroot/etc`, and gives the system its
/// identity.
///
/// # Errors
/// Says which step failed; the system can be started all the same.
pub fn attach(device: &Path, manifest: &Manifest, mac: Option<Mac>, paths: &Paths<'_>) -> anyhow::Result<()> {
    prepare(device, paths)?;
    let state = paths.run.join("state");
    std::fs::create_dir_all(&state).context("create the mount point of the state")?;
    mount(device, &state, "ext4", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME, c"")
        .with_context(|| format!("mount ext4 on {}", device.display()))?;
    let lower = paths.run.join("lower/var");
    let var = paths.sysroot.join("var");
    root::mount_overlay(&lower, &state.join("var"), &var, MountFlags::NODEV)
        .context("mount the overlay on /var")?;
    for path in &manifest.etc_state {
        bind::keep(&paths.run.join("lower/etc"), &state.join("etc"), &paths.sysroot.join("etc"), path)
            .with_context(|| format!("keep /etc/{path} on the state partition"))?;
    }
    identity::give(&state, &paths.sysroot.join("etc"), mac)
}

/// Looks at the state before anything else is mounted: `visit` gets it below `at`, and it is unmounted again. None when there is no
/// good file system yet; making and checking one needs tools of the image.
///
/// # Errors
/// Says which step failed.
pub fn visit<T>(device: &Path, at: &Path, visit: impl FnOnce(&Path) -> T) -> anyhow::Result<Option<T>> {
    if content(device).with_context(|| format!("read {}", device.display()))? != Content::Ext4 {
        return Ok(None);
    }
    std::fs::create_dir_all(at).context("create a mount point for the state")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME;
    mount(device, at, "ext4", flags, c"").with_context(|| format!("mount ext4 on {}", device.display()))?;
    let visited = visit(at);
    unmount(at, UnmountFlags::empty()).with_context(|| format!("unmount {}", device.display()))?;
    Ok(Some(visited))
}

/// Makes or checks the file system.
fn prepare(device: &Path, paths: &Paths<'_>) -> anyhow::Result<()> {
    match content(device).with_context(|| format!("read {}", device.display()))? {
        Content::Ext4 => Ok(()),
        Content::Ext4Damaged => check(device, paths),
        Content::Blank => {
            crate::say!("state: {} is blank: making an ext4 file system", device.display());
            let make = ["-q", "-F", "-L", "bascule-state", "-E", "nodiscard"].map(OsStr::new);
            let made = in_image(paths, "/usr/sbin/mkfs.ext4", &make, device)?;
            if made.code == Some(0) { Ok(()) } else { bail!("mkfs.ext4 on {}: {made}", device.display()) }
        }
        Content::Other => bail!(
            "{}: expected ext4 or a blank partition, found something else; it is left alone",
            device.display()
        ),
    }
}

/// `e2fsck -p` repairs what can be repaired without loss; 0 and 1 mean that the file system is good now.
fn check(device: &Path, paths: &Paths<'_>) -> anyhow::Result<()> {
    let checked = in_image(paths, "/usr/sbin/e2fsck", &[OsStr::new("-p")], device)?;
    match checked.code {
        Some(0) => Ok(()),
        Some(1) => {
            crate::say!("state: file system on {} was repaired", device.display());
            Ok(())
        }
        _ => bail!("e2fsck -p on {}: {checked}; repair it by hand", device.display()),
    }
}

/// Runs a tool of the image, with the device nodes of this system.
fn in_image(paths: &Paths<'_>, tool: &str, arguments: &[&OsStr], device: &Path) -> anyhow::Result<Outcome> {
    let devices = paths.sysroot.join("dev");
    mount_bind("/dev", &devices).context("bind /dev into the image")?;
    let mut all = arguments.to_vec();
    all.push(device.as_os_str());
    let command = Command { program: OsStr::new(tool), arguments: &all, root: Some(paths.sysroot) };
    let outcome = process::run(&command, TOOL_LIMIT);
    unmount(&devices, UnmountFlags::DETACH).context("unbind /dev from the image")?;
    outcome.with_context(|| format!("run {tool} of the image"))
}

fn content(device: &Path) -> io::Result<Content> {
    let file = File::open(device)?;
    let mut start = vec![0; BLANK_LEN];
    file.read_exact_at(&mut start, 0)?;
    let field = |at: u64| {
        let at = usize::try_from(at).unwrap_or(0);
        u16::from_le_bytes([start[at], start[at + 1]])
    };
    Ok(if field(MAGIC_AT) == MAGIC {
        if field(STATE_AT) & 3 == 1 { Content::Ext4 } else { Content::Ext4Damaged }
    } else if start.iter().all(|byte| *byte == 0) {
        Content::Blank
    } else {
        Content::Other
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_blank_partition_is_formatted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        let now = || content(file.path()).unwrap();
        assert_eq!(now(), Content::Blank);
        file.as_file().write_all_at(b"x", 5000).unwrap();
        assert_eq!(now(), Content::Other);
        file.as_file().write_all_at(&[0x53, 0xef, 1, 0], MAGIC_AT).unwrap();
        assert_eq!(now(), Content::Ext4);
        for state in [0, 2, 3] {
            file.as_file().write_all_at(&[state, 0], STATE_AT).unwrap();
            assert_eq!(now(), Content::Ext4Damaged, "state {state}");
        }
    }

    #[test]
    fn a_partition_that_is_too_short_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(content(file.path()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}

//! Leaving the initramfs.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use rustix::mount::mount_move;
use rustix::process::{chdir, chroot};

/// What the booted system starts with.
const INIT: &str = "/sbin/init";

/// Mounts that move along.
const MOVED: [&str; 4] = ["/dev", "/proc", "/sys", "/run"];

/// Makes `sysroot` the root, frees the initramfs and becomes the system's init. Returns only when it fails.
///
/// # Errors
/// A mount cannot be moved, or there is no init; before the mounts move nothing has changed.
pub fn switch(sysroot: &Path) -> anyhow::Result<std::convert::Infallible> {
    let init = sysroot.join(INIT.trim_start_matches('/'));
    fs::symlink_metadata(&init).with_context(|| format!("find {}", init.display()))?;
    for mounted in MOVED {
        let to = sysroot.join(mounted.trim_start_matches('/'));
        mount_move(mounted, &to).with_context(|| format!("move {mounted} to {}", to.display()))?;
    }
    chdir(sysroot).context("enter the new root")?;
    if is_in_memory(Path::new("/")) {
        free_initramfs(Path::new("/"));
    }
    mount_move(".", "/").context("move the new root to /")?;
    chroot(".").context("make the new root the root")?;
    chdir("/").context("enter the new root")?;
    let error = Command::new(INIT).exec();
    Err(error).with_context(|| format!("start {INIT}"))
}

/// Whether a file system is a ramfs or a tmpfs: nothing else is an initramfs, and nothing else is ever emptied.
fn is_in_memory(root: &Path) -> bool {
    const RAMFS_MAGIC: i64 = 0x8584_58f6;
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    rustix::fs::statfs(root).is_ok_and(|found| matches!(found.f_type, RAMFS_MAGIC | TMPFS_MAGIC))
}

/// Deletes everything on the file system of `root`, to give its memory back; other file systems are not entered. What cannot be
/// deleted costs memory and nothing else.
fn free_initramfs(root: &Path) {
    let Ok(device) = fs::symlink_metadata(root).map(|found| found.dev()) else { return };
    let _costs_memory = delete_below(root, device);
}

fn delete_below(directory: &Path, device: u64) -> io::Result<()> {
    for entry in fs::read_dir(directory)?.flatten() {
        let path = entry.path();
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if found.dev() != device {
            continue;
        }
        let _not_empty = if found.is_dir() {
            delete_below(&path, device).and_then(|()| fs::remove_dir(&path))
        } else {
            fs::remove_file(&path)
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_one_file_system_goes() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        fs::write(root.path().join("a/b/c"), "x").unwrap();
        std::os::unix::fs::symlink("/", root.path().join("a/link")).unwrap();
        free_initramfs(root.path());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        assert!(Path::new("/usr").exists());
    }

    #[test]
    fn a_root_without_init_is_refused_before_anything_moves() {
        let root = tempfile::tempdir().unwrap();
        let error = switch(root.path()).unwrap_err();
        assert!(
            format!("{error:#}").ends_with("sbin/init: No such file or directory (os error 2)"),
            "{error:#}"
        );
    }
}

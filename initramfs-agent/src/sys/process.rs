//! A child process in another root directory.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Makes the child of `command` enter `root` before it starts its program; the program's path counts from there.
///
/// # Errors
/// A path with NUL.
pub fn chroot_before_exec(command: &mut Command, root: &Path) -> io::Result<()> {
    let root = CString::new(root.as_os_str().as_bytes())?;
    // SAFETY: between fork and exec the closure makes only two system calls, which are async-signal-safe, with a path that
    // was prepared before; it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || {
            rustix::process::chroot(root.as_c_str())?;
            rustix::process::chdir(c"/")?;
            Ok(())
        });
    }
    Ok(())
}

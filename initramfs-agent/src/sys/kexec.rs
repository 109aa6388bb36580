//! `kexec_file_load(2)`: the next kernel from two open files.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Loads a kernel and its initramfs for a later `reboot(KEXEC)`.
///
/// # Errors
/// The kernel's error: `EPERM` when locked down, `ENOEXEC` for something that is no kernel; a command line with NUL.
pub fn load(kernel: BorrowedFd<'_>, initramfs: BorrowedFd<'_>, cmdline: &str) -> io::Result<()> {
    let cmdline = CString::new(cmdline)?;
    let bytes = cmdline.as_bytes_with_nul();
    // SAFETY: both descriptors are open for the duration of the call, and the pointer is valid for the length given,
    // which includes the terminating zero as the interface asks; the kernel copies it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            libc::c_long::from(kernel.as_raw_fd()),
            libc::c_long::from(initramfs.as_raw_fd()),
            bytes.len(),
            bytes.as_ptr(),
            0_u64,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

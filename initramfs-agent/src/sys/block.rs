//! Block device ioctls (linux/fs.h).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

/// `_IO(0x12, 97)`
const BLKFLSBUF: u32 = 0x1261;

/// `_IO(0x12, 95)`
const BLKRRPART: u32 = 0x125f;

/// Writes out and empties the kernel's cache of a block device, so that the next read comes from the disk.
///
/// # Errors
/// Not a block device, or no permission.
pub fn drop_cache(device: &File) -> io::Result<()> {
    call(device, BLKFLSBUF)
}

/// Lets the kernel read the partition table again; the nodes of the partitions are there when this returns.
///
/// # Errors
/// `EBUSY` while a partition is in use.
pub fn reread_partitions(device: &File) -> io::Result<()> {
    call(device, BLKRRPART)
}

fn call(device: &File, number: u32) -> io::Result<()> {
    // SAFETY: neither call takes an argument, and neither touches memory of this process.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), number as libc::Ioctl, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_block_device_is_refused() {
        let file = tempfile::tempfile().unwrap();
        for result in [drop_cache(&file), reread_partitions(&file)] {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ENOTTY));
        }
    }
}

//! The one seam to a disk: random access with an explicit flush.
//!
//! Everything that writes a disk takes a [`Device`], so that the same code runs on a block device, on a file and on a
//! simulated disk that loses power. A device has a fixed length; nothing here creates or grows one.
//!
//! Guaranteed: what was written before a successful [`Device::flush`] is durable after it. Not guaranteed: any order among
//! writes that no flush separates, and anything larger than one 512-byte sector being written as a whole.

mod file;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod stream;
mod window;

use std::io;

pub use self::file::FileDevice;
pub use self::stream::Stream;
pub use self::window::Window;

/// The largest unit, in bytes, that a disk is trusted to write as a whole.
pub const SECTOR: u64 = 512;

/// What is about to happen to a range; see [`Device::hint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// It will be read soon: begin now.
    Read,
    /// It was written and will not be touched again: begin to make it durable, so that the flush has less to wait for.
    Written,
}

/// Random access to bytes of a fixed length.
pub trait Device: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> u64;

    /// Whether the length is 0.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// What the device says; `UnexpectedEof` beyond the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`. Not durable before [`Device::flush`].
    ///
    /// # Errors
    /// What the device says; `InvalidInput` beyond the end, with nothing written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes every earlier write durable.
    ///
    /// # Errors
    /// What the device says; then nothing is known about writes since the last flush.
    fn flush(&self) -> io::Result<()>;

    /// Tells what comes, so that the device can work meanwhile. It changes no byte and promises nothing.
    fn hint(&self, hint: Hint, offset: u64, len: u64) {
        let _nothing_to_do = (hint, offset, len);
    }

    /// Reads `len` bytes at `offset`. The range is checked before memory is taken for it.
    ///
    /// # Errors
    /// As [`Device::read_at`].
    fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        in_range(self.len(), offset, len, io::ErrorKind::UnexpectedEof)?;
        let mut bytes = vec![0; len];
        self.read_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

impl<D: Device + ?Sized> Device for &D {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        (**self).write_at(bytes, offset)
    }

    fn flush(&self) -> io::Result<()> {
        (**self).flush()
    }

    fn hint(&self, hint: Hint, offset: u64, len: u64) {
        (**self).hint(hint, offset, len);
    }
}

/// Refuses a range that is not inside `0..total`.
fn in_range(total: u64, offset: u64, len: usize, kind: io::ErrorKind) -> io::Result<()> {
    match offset.checked_add(len as u64) {
        Some(end) if end <= total => Ok(()),
        _ => Err(io::Error::new(
            kind,
            format!("{len} bytes at {offset} are beyond the device's {total} bytes"),
        )),
    }
}

/// Writes zeros over `len` bytes at `offset`, a MiB at a time.
///
/// # Errors
/// As [`Device::write_at`].
pub fn zero(device: &dyn Device, mut offset: u64, mut len: u64) -> io::Result<()> {
    const STEP: u64 = 1 << 20;
    let zeros = vec![0; STEP.min(len) as usize];
    while len > 0 {
        let step = STEP.min(len);
        device.write_at(&zeros[..step as usize], offset)?;
        offset += step;
        len -= step;
    }
    Ok(())
}

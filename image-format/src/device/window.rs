//! A part of a device as a device of its own: a partition, without asking the kernel for its node.

use std::io;

use super::{Device, Hint, in_range};

/// `len` bytes of another device from `offset` on. No access reaches outside of it.
#[derive(Debug, Clone, Copy)]
pub struct Window<D> {
    device: D,
    offset: u64,
    len: u64,
}

impl<D: Device> Window<D> {
    /// The window of `len` bytes at `offset`.
    ///
    /// # Errors
    /// `InvalidInput` when it does not lie inside of `device`.
    pub fn new(device: D, offset: u64, len: u64) -> io::Result<Self> {
        let fits = offset.checked_add(len).is_some_and(|end| end <= device.len());
        if !fits {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("window of {len} bytes at {offset} is beyond the device's {} bytes", device.len()),
            ));
        }
        Ok(Self { device, offset, len })
    }
}

impl<D: Device> Device for Window<D> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        in_range(self.len, offset, buffer.len(), io::ErrorKind::UnexpectedEof)?;
        self.device.read_at(buffer, self.offset + offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        in_range(self.len, offset, bytes.len(), io::ErrorKind::InvalidInput)?;
        self.device.write_at(bytes, self.offset + offset)
    }

    fn flush(&self) -> io::Result<()> {
        self.device.flush()
    }

    fn hint(&self, hint: Hint, offset: u64, len: u64) {
        // Nothing outside of the window may be told anything, and a hint beyond its end is none.
        if offset < self.len {
            self.device.hint(hint, self.offset + offset, len.min(self.len - offset));
        }
    }
}

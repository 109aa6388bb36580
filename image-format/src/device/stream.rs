//! A device as a `Read + Write + Seek`, for libraries that ask for one.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use super::Device;

/// A position on a device. Ranges can be hidden: they read as zeros.
pub struct Stream<'d> {
    device: &'d dyn Device,
    position: u64,
    hidden: Vec<Range<u64>>,
}

impl<'d> Stream<'d> {
    /// A stream that begins at the start of `device` and reads zeros inside of `hidden`.
    pub fn new(device: &'d dyn Device, hidden: Vec<Range<u64>>) -> Self {
        Self { device, position: 0, hidden }
    }

    fn room(&self, wanted: usize) -> usize {
        let left = self.device.len().saturating_sub(self.position);
        usize::try_from(left).unwrap_or(usize::MAX).min(wanted)
    }
}

impl fmt::Debug for Stream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.room(buffer.len());
        let buffer = &mut buffer[..count];
        self.device.read_at(buffer, self.position)?;
        for (byte, at) in buffer.iter_mut().zip(self.position..) {
            if self.hidden.iter().any(|range| range.contains(&at)) {
                *byte = 0;
            }
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.room(bytes.len());
        self.device.write_at(&bytes[..count], self.position)?;
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.device.flush()
    }
}

impl Seek for Stream<'_> {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let position = match target {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.device.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position =
            position.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek outside of 64 bits"))?;
        Ok(self.position)
    }
}

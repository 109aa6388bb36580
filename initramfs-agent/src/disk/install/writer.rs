//! Writing to the root image of a slot.

use std::ops::Range;

use image_format::device::{Device, Hint};

use super::error::{InstallError, Place};

/// After so many bytes in a row the disk is told to begin: then the flush has little left to wait for.
const WRITE_BACK: u64 = 8 << 20;

/// Writes and remembers where it was.
pub(super) struct Writer<'a> {
    target: &'a dyn Device,
    /// Written, one behind the other, and not yet given to the disk.
    pending: Range<u64>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(target: &'a dyn Device) -> Self {
        Self { target, pending: 0..0 }
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), InstallError> {
        self.target.write_at(bytes, offset).map_err(InstallError::io(Place::Root, offset))?;
        if self.pending.end != offset {
            self.pending = offset..offset;
        }
        self.pending.end += bytes.len() as u64;
        if self.pending.end - self.pending.start >= WRITE_BACK {
            self.target.hint(Hint::Written, self.pending.start, self.pending.end - self.pending.start);
            self.pending = self.pending.end..self.pending.end;
        }
        Ok(())
    }
}

/// Pieces of a buffer that go to the disk, merged where they are neighbours in both.
#[derive(Default)]
pub(super) struct Runs {
    runs: Vec<(u64, Range<usize>)>,
}

impl Runs {
    pub(super) fn clear(&mut self) {
        self.runs.clear();
    }

    /// `buffer[piece]` belongs to `offset`.
    pub(super) fn add(&mut self, offset: u64, piece: Range<usize>) {
        match self.runs.last_mut() {
            Some((at, last)) if last.end == piece.start && *at + last.len() as u64 == offset => {
                last.end = piece.end;
            }
            _ => self.runs.push((offset, piece)),
        }
    }

    pub(super) fn write(&self, buffer: &[u8], writer: &mut Writer<'_>) -> Result<(), InstallError> {
        self.runs.iter().try_for_each(|(offset, piece)| writer.write(&buffer[piece.clone()], *offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_written_together() {
        let mut runs = Runs::default();
        runs.add(4096, 0..10);
        runs.add(4106, 10..20);
        // A neighbour on the disk only, and in the buffer only.
        runs.add(4116, 30..40);
        runs.add(9000, 40..50);
        assert_eq!(runs.runs, [(4096, 0..20), (4116, 30..40), (9000, 40..50)]);
    }
}

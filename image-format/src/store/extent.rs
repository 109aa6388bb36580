//! Where the bytes of an object are.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// An object's bytes: a part of an open file. They stay readable while this lives, whatever becomes of the store.
#[derive(Debug, Clone)]
pub struct ObjectExtent {
    /// The object's own file, or the pack that it lies in.
    pub file: Arc<File>,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

impl ObjectExtent {
    /// Reads up to `buffer.len()` bytes from `position` of the object on; 0 at its end.
    ///
    /// # Errors
    /// Whatever the operating system says; [`io::ErrorKind::UnexpectedEof`] when the file has become shorter.
    pub fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let left = self.len.saturating_sub(position);
        let len = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if len == 0 {
            return Ok(0);
        }
        loop {
            match self.file.read_at(&mut buffer[..len], self.offset + position) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the object is cut short")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

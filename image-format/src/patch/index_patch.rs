//! An image's index for one who has another image's: most entries are the same, and digests do not compress.

use std::io;

use super::FrameError;
use super::frame;
use crate::index::INDEX_MAX;

/// Entries are digests: more effort finds nothing more.
const LEVEL: i32 = 9;

/// `new` as a frame with `old` as prefix; both the encoded indexes.
///
/// # Errors
/// zstd fails only for want of memory.
pub fn encode_index_patch(new: &[u8], old: &[u8]) -> io::Result<Vec<u8>> {
    frame::encode_segment(new, old, LEVEL)
}

/// The new index. The caller compares its digest with the one that was signed.
///
/// # Errors
/// [`FrameError`]; nothing longer than [`INDEX_MAX`] is made.
pub fn decode_index_patch(stored: &[u8], old: &[u8], new_len: u64) -> Result<Vec<u8>, FrameError> {
    if new_len > INDEX_MAX {
        let expected = INDEX_MAX;
        return Err(FrameError::Length { expected, found: new_len.to_string() });
    }
    let mut new = Vec::with_capacity(new_len as usize);
    frame::decode(stored, new_len, old, &mut |bytes| {
        new.extend_from_slice(bytes);
        true
    })?;
    Ok(new)
}

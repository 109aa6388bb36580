//! The splitter of batch answers, for the fuzz target.

use image_format::index::Index;

use super::chunks::split;

/// Cuts an answer that comes in `pieces` into the `wanted` chunks of `index`; the number and the bytes of each go to `sink`.
pub fn split_answer<'a>(
    index: &Index,
    wanted: &[usize],
    pieces: impl Iterator<Item = &'a [u8]>,
    sink: &mut dyn FnMut(usize, &[u8]),
) {
    split(index, wanted, pieces, &mut |number, chunk| {
        sink(number, chunk);
        Ok(())
    });
}

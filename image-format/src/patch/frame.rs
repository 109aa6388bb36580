//! The frame of a segment: one zstd frame (RFC 8878) with the base's bytes as prefix.
//!
//! Decoding is bounded: the content size stands in the header and is the expected one, the window is at most
//! 2^[`WINDOW_LOG`] bytes, output goes out in small pieces, and nothing follows the frame. So it takes the prefix, the window
//! and 128 KiB of memory, whatever the frame says.

use std::io;

use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer};

/// Largest window of a segment's frame, as a power of two: 16 MiB.
pub const WINDOW_LOG: u32 = 24;
/// Window of a frame that decodes to more than that: 8 MiB, what every zstd decoder takes (RFC 9659).
const STREAM_WINDOW_LOG: u32 = 23;
/// Least entries of the compressor's tables, as a power of two, where there is a prefix; most is a place for each byte of the window.
const TABLE_LOG_MIN: u32 = 12;
/// Bytes of output at a time.
const PIECE: usize = 128 << 10;

/// Why stored bytes are not the segment that its table promises.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The frame says that it has another length, or none.
    #[error("segment: expected a frame of {expected} plain bytes, found {found}")]
    Length {
        /// Plain length promised.
        expected: u64,
        /// Length in the frame's header, or decoded.
        found: String,
    },
    /// Not one whole frame.
    #[error("segment: expected one whole zstd frame, found {found}")]
    Extent {
        /// What is there.
        found: String,
    },
    /// The decompressor refused the content, or could not be set up.
    #[error("segment: zstd: {0}")]
    Zstd(&'static str),
    /// The receiver wanted no more.
    #[error("segment: the receiver stopped")]
    Stopped,
}

fn zstd(code: usize) -> FrameError {
    FrameError::Zstd(zstd_safe::get_error_name(code))
}

/// Compresses `plain` with `prefix` before it. The prefix is what [`decode_segment`] must be given.
///
/// # Errors
/// zstd fails only for want of memory.
pub fn encode_segment(plain: &[u8], prefix: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let fail = |code| io::Error::other(zstd_safe::get_error_name(code));
    let window = if plain.len() > 1 << WINDOW_LOG { STREAM_WINDOW_LOG } else { WINDOW_LOG };
    let mut context = CCtx::create();
    for parameter in [
        CParameter::CompressionLevel(level),
        CParameter::WindowLog(window),
        CParameter::ContentSizeFlag(true),
        CParameter::ChecksumFlag(false),
    ] {
        context.set_parameter(parameter).map_err(fail)?;
    }
    context.set_pledged_src_size(Some(plain.len() as u64)).map_err(fail)?;
    if !prefix.is_empty() {
        // The tables of lower levels are made for shorter windows: old bytes that lie farther back would not be found.
        let log = (plain.len() + prefix.len()).next_power_of_two().ilog2().clamp(TABLE_LOG_MIN, WINDOW_LOG);
        for parameter in [CParameter::HashLog(log), CParameter::ChainLog(log)] {
            context.set_parameter(parameter).map_err(fail)?;
        }
        context.ref_prefix(prefix).map_err(fail)?;
    }
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
    context.compress2(&mut out, plain).map_err(fail)?;
    out.shrink_to_fit();
    Ok(out)
}

/// Decodes a segment and gives its plain bytes to `sink`, piece by piece, until that says `false`. The caller has compared the
/// digest of `stored`, and compares those of the entries that come out.
///
/// # Errors
/// [`FrameError`]; pieces may have reached the sink before, never more than `plain_len` bytes.
pub fn decode_segment(
    stored: &[u8],
    plain_len: u32,
    prefix: &[u8],
    sink: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(), FrameError> {
    decode(stored, plain_len.into(), prefix, sink)
}

pub(super) fn decode(
    stored: &[u8],
    plain_len: u64,
    prefix: &[u8],
    sink: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(), FrameError> {
    check(stored, plain_len)?;
    let mut context = DCtx::create();
    context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(zstd)?;
    if !prefix.is_empty() {
        context.ref_prefix(prefix).map_err(zstd)?;
    }
    let mut piece = vec![0; PIECE];
    let mut input = InBuffer::around(stored);
    let mut done = 0;
    loop {
        let mut output = OutBuffer::around(piece.as_mut_slice());
        let hint = context.decompress_stream(&mut output, &mut input).map_err(zstd)?;
        let bytes = output.as_slice();
        done += bytes.len() as u64;
        let stuck = bytes.is_empty() && hint != 0 && input.pos() == stored.len();
        if done > plain_len || stuck {
            return Err(FrameError::Length { expected: plain_len, found: done.to_string() });
        }
        if !bytes.is_empty() && !sink(bytes) {
            return Err(FrameError::Stopped);
        }
        if hint == 0 {
            break;
        }
    }
    if done == plain_len {
        Ok(())
    } else {
        Err(FrameError::Length { expected: plain_len, found: done.to_string() })
    }
}

/// One frame, no dictionary, of exactly this content size.
fn check(stored: &[u8], plain_len: u64) -> Result<(), FrameError> {
    let extent = |found: String| Err(FrameError::Extent { found });
    if !stored.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return extent("no frame".to_owned());
    }
    match zstd_safe::find_frame_compressed_size(stored) {
        Ok(len) if len == stored.len() => {}
        Ok(len) => return extent(format!("{} bytes behind it", stored.len() - len)),
        Err(code) => return extent(zstd_safe::get_error_name(code).to_owned()),
    }
    if zstd_safe::get_dict_id_from_frame(stored).is_some() {
        return extent("one with a dictionary".to_owned());
    }
    match zstd_safe::get_frame_content_size(stored) {
        Ok(Some(found)) if found == plain_len => Ok(()),
        Ok(Some(found)) => Err(FrameError::Length { expected: plain_len, found: found.to_string() }),
        Ok(None) | Err(_) => Err(FrameError::Length { expected: plain_len, found: "no length".to_owned() }),
    }
}

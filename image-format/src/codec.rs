//! How a chunk is stored: one zstd frame, or as it is where compression does not gain.
//!
//! The index tells them apart: a stored length equal to the plain length means stored as it is. A frame is strictly smaller.
//!
//! A frame is decoded only if it is exactly what [`encode`] makes (RFC 8878, section 3.1.1): zstd magic, no dictionary,
//! content size present and equal to the expected length, window at most [`WINDOW_LOG_MAX`], no checksum (BLAKE3 covers the
//! bytes), nothing behind it. So neither skippable frames nor several frames nor a size that lies reach the decompressor,
//! and it writes into a buffer of exactly the expected length. The caller has checked the stored digest before.

use std::cell::RefCell;
use std::io;

use zstd::zstd_safe::{self, CParameter};

use crate::index::CHUNK_MAX;

/// Compression level whose parameters are taken where [`encode`] does not choose its own, see `MIN_MATCH`.
///
/// `cargo bench -p image-format -- root.erofs` over a Debian root image of 812 MB with its map, one thread of a 2-core machine,
/// MB/s and MB stored: level 1 424 and 261.0, 2: 375 and 255.9, 3: 313 and 252.6, **3 with these parameters 283 and 250.6**, 4: 237
/// and 249.7, 5: 140 and 244.9. (casync's store of the same root as another EROFS: 252.9.) Decoding takes 840 MB/s at all. Every
/// image is encoded while a person waits; what a node lacks of the image it runs comes in patches, which are encoded with more
/// effort.
///
/// Changing it changes the stored digests of new chunks, but not what nodes have: they compare plain digests.
pub const LEVEL: i32 = 3;

/// Shortest match. Level 3 looks for five bytes and more in chunks of this size: 0.8 % larger for a tenth of the time less.
const MIN_MATCH: u32 = 4;
/// Binary logarithms of the numbers of places that are remembered by eight bytes, and by four. Half or twice as many change neither
/// size nor time by a hundredth.
const HASH_LOG: u32 = 17;
const CHAIN_LOG: u32 = 15;

/// Level of [`Compression::Best`], with its own parameters: an eighth fewer bytes than [`LEVEL`] for eighty times the time.
pub const BEST_LEVEL: i32 = 19;

/// How much time goes into the bytes of a chunk. What a node decodes is the same, as fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// [`LEVEL`] with the parameters of this module.
    #[default]
    Fast,
    /// [`BEST_LEVEL`].
    Best,
}

/// Largest window of a frame, as a power of two (8 MiB, RFC 9659). Frames of [`encode`] need no more than one chunk.
pub const WINDOW_LOG_MAX: u32 = 23;

/// A frame must save at least one part in this many, or the chunk is stored as it is: it is faster to read.
const GAIN: usize = 32;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Why stored bytes are not the chunk that the index promises.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The index promises a plain length that no chunk has.
    #[error("chunk: expected a plain length of 1 to {CHUNK_MAX} bytes, found {found}")]
    PlainLen {
        /// Length promised.
        found: usize,
    },
    /// More stored bytes than plain ones.
    #[error("chunk: expected at most {max} stored bytes, found {found}")]
    StoredLen {
        /// Plain length.
        max: usize,
        /// Stored bytes.
        found: usize,
    },
    /// Not the one kind of frame that is accepted.
    #[error("chunk: zstd frame: expected {expected}, found {found}")]
    Frame {
        /// What would be accepted.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// The decompressor refused the content.
    #[error("chunk: zstd decompression failed")]
    Corrupt(#[source] io::Error),
    /// The frame ended before the promised length.
    #[error("chunk: expected {expected} plain bytes, found {found}")]
    Short {
        /// Plain length promised.
        expected: usize,
        /// Plain length decoded.
        found: usize,
    },
}

/// The stored form of a chunk: a zstd frame, or the plain bytes themselves when that does not gain.
///
/// The same bytes always give the same stored form, whatever was encoded before.
pub fn encode(plain: &[u8]) -> Vec<u8> {
    thread_local! {
        // A compression context is a megabyte; making one for every chunk would halve the speed.
        static ENCODER: RefCell<Encoder> = RefCell::new(Encoder::default());
    }
    let mut stored = Vec::new();
    ENCODER.with_borrow_mut(|encoder| encoder.append(plain, &mut stored));
    stored
}

/// An encoder that keeps its memory from chunk to chunk.
#[derive(Default)]
pub struct Encoder {
    compression: Compression,
    inner: Option<zstd::bulk::Compressor<'static>>,
}

impl Encoder {
    /// One that takes its time, or not.
    pub fn new(compression: Compression) -> Self {
        Self { compression, inner: None }
    }

    /// Appends the stored form of `plain` to `out` and returns its length; see [`encode`].
    pub fn append(&mut self, plain: &[u8], out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let gained = plain.len() - plain.len().div_ceil(GAIN);
        match self.frame(plain, out) {
            Ok(len) if len <= gained => out.truncate(start + len),
            // zstd fails only for want of memory; the plain bytes are always a correct stored form.
            Ok(_) | Err(_) => {
                out.truncate(start);
                out.extend_from_slice(plain);
            }
        }
        out.len() - start
    }

    /// Writes a frame behind what is in `out`, and maybe more bytes behind it, and returns the frame's length.
    fn frame(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let encoder = match self.inner.take() {
            Some(encoder) => self.inner.insert(encoder),
            None => self.inner.insert(compressor(self.compression)?),
        };
        let start = out.len();
        out.resize(start + zstd_safe::compress_bound(plain.len()), 0);
        encoder.compress_to_buffer(plain, &mut out[start..])
    }
}

fn compressor(compression: Compression) -> io::Result<zstd::bulk::Compressor<'static>> {
    if compression == Compression::Best {
        return zstd::bulk::Compressor::new(BEST_LEVEL);
    }
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    let parameters = [
        CParameter::Strategy(zstd_safe::Strategy::ZSTD_dfast),
        CParameter::MinMatch(MIN_MATCH),
        CParameter::HashLog(HASH_LOG),
        CParameter::ChainLog(CHAIN_LOG),
    ];
    parameters.into_iter().try_for_each(|parameter| compressor.set_parameter(parameter))?;
    Ok(compressor)
}

/// Decodes one chunk; see [`Decoder::decode`].
///
/// # Errors
/// [`CodecError`].
pub fn decode(stored: &[u8], plain_len: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    Decoder::default().decode(stored, plain_len, out)
}

/// A decoder that keeps its memory from chunk to chunk.
#[derive(Default)]
pub struct Decoder {
    inner: zstd::bulk::Decompressor<'static>,
}

impl Decoder {
    /// Replaces the content of `out` by the plain bytes of `stored`. After an error `out` is empty.
    ///
    /// The caller has compared the digest of `stored`, and compares that of `out` afterwards.
    ///
    /// # Errors
    /// [`CodecError`]: lengths out of range, not the one accepted kind of frame, corrupt, or not exactly `plain_len` bytes.
    pub fn decode(&mut self, stored: &[u8], plain_len: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.clear();
        if !(1..=CHUNK_MAX as usize).contains(&plain_len) {
            return Err(CodecError::PlainLen { found: plain_len });
        }
        if stored.len() > plain_len {
            return Err(CodecError::StoredLen { max: plain_len, found: stored.len() });
        }
        if stored.len() == plain_len {
            out.extend_from_slice(stored);
            return Ok(());
        }
        check_header(stored, plain_len as u64)?;
        check_extent(stored)?;
        // Exactly: the capacity of a Vec may be larger than asked for, and it is what bounds the decompressor.
        out.resize(plain_len, 0);
        let result = self.inner.decompress_to_buffer(stored, out.as_mut_slice());
        let found = result.map_err(CodecError::Corrupt).inspect_err(|_| out.clear())?;
        if found != plain_len {
            out.clear();
            return Err(CodecError::Short { expected: plain_len, found });
        }
        Ok(())
    }
}

/// Checks the frame header (RFC 8878, section 3.1.1.1).
fn check_header(frame: &[u8], plain_len: u64) -> Result<(), CodecError> {
    let refuse = |expected, found: String| Err(CodecError::Frame { expected, found });
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let Some((magic, rest)) = frame.split_first_chunk() else {
        return refuse("a frame header", format!("{} bytes", frame.len()));
    };
    if *magic != MAGIC {
        return refuse("the magic 28b52ffd", hex(magic));
    }
    let Some((&descriptor, rest)) = rest.split_first() else {
        return refuse("a frame header", format!("{} bytes", frame.len()));
    };
    if descriptor & 0b11 != 0 {
        return refuse("no dictionary", format!("descriptor {descriptor:#04x}"));
    }
    if descriptor & 0b1100 != 0 {
        return refuse("no checksum and no reserved bit", format!("descriptor {descriptor:#04x}"));
    }
    let single_segment = descriptor & 0b10_0000 != 0;
    let (window, rest) =
        if single_segment { (None, rest) } else { (rest.first(), rest.get(1..).unwrap_or(&[])) };
    if let Some(window) = window {
        // Exponent in the upper five bits, mantissa in eighths of it in the lower three.
        let log = u32::from(window >> 3) + 10;
        if log > WINDOW_LOG_MAX || (log == WINDOW_LOG_MAX && window & 0b111 != 0) {
            return refuse("a window of at most 8 MiB", format!("window descriptor {window:#04x}"));
        }
    }
    let (size_len, base) = match (descriptor >> 6, single_segment) {
        (0, true) => (1, 0),
        (0, false) => return refuse("a content size", format!("descriptor {descriptor:#04x}")),
        (1, _) => (2, 256),
        (2, _) => (4, 0),
        (_, _) => (8, 0),
    };
    let Some(size_bytes) = rest.get(..size_len) else {
        return refuse("a frame header", format!("{} bytes", frame.len()));
    };
    let mut size = [0; 8];
    size[..size_len].copy_from_slice(size_bytes);
    let size = u64::from_le_bytes(size).saturating_add(base);
    if size != plain_len {
        return refuse("the content size of the index", format!("{size} instead of {plain_len}"));
    }
    Ok(())
}

/// The frame is all there is.
fn check_extent(stored: &[u8]) -> Result<(), CodecError> {
    let found = match zstd_safe::find_frame_compressed_size(stored) {
        Ok(len) if len == stored.len() => return Ok(()),
        Ok(len) => format!("{} bytes behind it", stored.len() - len),
        Err(code) => zstd_safe::get_error_name(code).to_owned(),
    };
    Err(CodecError::Frame { expected: "one whole frame and nothing behind it", found })
}

#[cfg(test)]
mod tests;

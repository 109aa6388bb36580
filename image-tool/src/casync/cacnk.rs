//! A chunk as a store has it.

use std::cell::RefCell;

use super::{CasyncChunk, CasyncId, Hash};

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const XZ: [u8; 6] = *b"\xfd7zXZ\0";
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What a file in a store is, by its suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `.cacnk`.
    Compressed,
    /// Without a suffix.
    Plain,
}

impl Form {
    /// Most bytes that the file of a chunk of `len` bytes may have.
    ///
    /// zstd's bound for what does not compress is 1/256 more and a few bytes for each block and frame.
    pub(crate) fn max(self, len: u32) -> u64 {
        let len = u64::from(len);
        match self {
            Self::Compressed => len + len / 64 + 1024,
            Self::Plain => len,
        }
    }
}

/// Why a file of a store is not the chunk that the index names.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacnkError {
    /// Compressed by something that is not read here.
    #[error("compressed with {found}; expected zstd (`casync make --compression=zstd` makes it)")]
    Compression {
        /// By what.
        found: &'static str,
    },
    /// The decompressor refused the content, or it is longer than promised.
    #[error("zstd decompression to {expected} bytes failed")]
    Corrupt {
        /// The chunk's length in the index.
        expected: u32,
        /// What zstd says.
        source: std::io::Error,
    },
    /// Shorter or longer than promised.
    #[error("expected {expected} plain bytes, found {found}")]
    Length {
        /// The chunk's length in the index.
        expected: u32,
        /// Length found.
        found: usize,
    },
    /// Other bytes.
    #[error("expected content with the digest {expected}, found {found}")]
    Digest {
        /// The chunk's name.
        expected: CasyncId,
        /// Digest found.
        found: CasyncId,
    },
}

/// The plain bytes of `chunk`, which have its length and its digest. The decompressor has room for no byte more.
///
/// # Errors
/// [`CacnkError`].
pub(crate) fn decode(
    form: Form,
    bytes: Vec<u8>,
    chunk: &CasyncChunk,
    hash: Hash,
) -> Result<Vec<u8>, CacnkError> {
    let plain = match form {
        Form::Plain => bytes,
        Form::Compressed => decompress(&bytes, chunk.len)?,
    };
    if plain.len() != chunk.len as usize {
        return Err(CacnkError::Length { expected: chunk.len, found: plain.len() });
    }
    match hash.id(&plain) {
        found if found == chunk.id => Ok(plain),
        found => Err(CacnkError::Digest { expected: chunk.id, found }),
    }
}

/// Compresses what our store holds as it is: most of it does not compress, so the quickest level serves.
pub(crate) fn encode(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::bulk::compress(plain, 1)
}

fn decompress(bytes: &[u8], len: u32) -> Result<Vec<u8>, CacnkError> {
    thread_local! {
        static DECODER: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    }
    if !bytes.starts_with(&ZSTD) {
        let found = match bytes {
            _ if bytes.starts_with(&XZ) => "xz",
            _ if bytes.starts_with(&GZIP) => "gzip",
            _ => "nothing known",
        };
        return Err(CacnkError::Compression { found });
    }
    let corrupt = |source| CacnkError::Corrupt { expected: len, source };
    let mut plain = vec![0; len as usize];
    // In one go into a buffer of the length that the index promises: no window of the frame's choosing is allocated.
    let found = DECODER.with_borrow_mut(|slot| {
        let decoder = match slot.take() {
            Some(decoder) => slot.insert(decoder),
            None => slot.insert(zstd::bulk::Decompressor::new()?),
        };
        decoder.decompress_to_buffer(bytes, plain.as_mut_slice())
    });
    plain.truncate(found.map_err(corrupt)?);
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(plain: &[u8]) -> CasyncChunk {
        CasyncChunk { id: Hash::Sha512_256.id(plain), len: plain.len() as u32 }
    }

    fn read(form: Form, bytes: &[u8], chunk: &CasyncChunk) -> Result<Vec<u8>, CacnkError> {
        decode(form, bytes.to_vec(), chunk, Hash::Sha512_256)
    }

    #[test]
    fn both_forms_are_read() {
        let plain = b"bascule".repeat(1000);
        let frame = encode(&plain).unwrap();
        assert_eq!(read(Form::Compressed, &frame, &chunk(&plain)).unwrap(), plain);
        assert_eq!(read(Form::Plain, &plain, &chunk(&plain)).unwrap(), plain);
        assert!(frame.len() as u64 <= Form::Compressed.max(plain.len() as u32));
    }

    #[test]
    fn what_does_not_compress_is_within_the_limit() {
        for len in [1, 4096, 262_144] {
            let mut noise = vec![0; len];
            blake3::Hasher::new().finalize_xof().fill(&mut noise);
            for level in [1, 3, 19] {
                let frame = zstd::bulk::compress(&noise, level).unwrap();
                assert!(frame.len() as u64 <= Form::Compressed.max(len as u32), "{len} at {level}");
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_promised_length() {
        let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 19).unwrap();
        assert!(bomb.len() < 16384);
        let promised = chunk(&[0; 4096]);
        assert!(matches!(
            read(Form::Compressed, &bomb, &promised),
            Err(CacnkError::Corrupt { expected: 4096, .. })
        ));
    }

    #[test]
    fn others_than_the_named_bytes_are_refused() {
        let plain = b"bascule".repeat(1000);
        let named = chunk(&plain);
        let mut other = plain.clone();
        other[0] ^= 1;
        assert!(matches!(
            read(Form::Compressed, &encode(&other).unwrap(), &named),
            Err(CacnkError::Digest { .. })
        ));
        assert!(matches!(read(Form::Plain, &other, &named), Err(CacnkError::Digest { .. })));
        let short = &plain[1..];
        assert!(matches!(
            read(Form::Compressed, &encode(short).unwrap(), &named),
            Err(CacnkError::Length { expected: 7000, found: 6999 })
        ));
        assert!(matches!(read(Form::Plain, short, &named), Err(CacnkError::Length { .. })));
        let frame = encode(&plain).unwrap();
        for cut in 0..frame.len() {
            let refused = read(Form::Compressed, &frame[..cut], &named);
            assert!(
                matches!(refused, Err(CacnkError::Compression { .. } | CacnkError::Corrupt { .. })),
                "{cut}"
            );
        }
    }

    #[test]
    fn other_compressions_are_named() {
        for (bytes, found) in
            [(&XZ[..], "xz"), (&GZIP[..], "gzip"), (b"", "nothing known"), (b"plain", "nothing known")]
        {
            let error = read(Form::Compressed, bytes, &chunk(b"x")).unwrap_err();
            assert!(error.to_string().contains(&format!("compressed with {found}")), "{error}");
        }
    }
}

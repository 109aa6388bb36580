use proptest::prelude::*;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::{CodecError, Decoder, decode, encode};
use crate::index::CHUNK_MAX;

fn text() -> Vec<u8> {
    b"the same words again and again, ".repeat(512)
}

fn refused(stored: &[u8], plain_len: usize) -> CodecError {
    let mut out = b"left over".to_vec();
    let error = decode(stored, plain_len, &mut out).unwrap_err();
    assert!(out.is_empty(), "{error}");
    error
}

fn expects(stored: &[u8], plain_len: usize) -> &'static str {
    match refused(stored, plain_len) {
        CodecError::Frame { expected, .. } => expected,
        other => panic!("{other:?}"),
    }
}

fn with(parameters: &[CParameter]) -> Vec<u8> {
    let mut compressor = Compressor::new(1).unwrap();
    parameters.iter().for_each(|parameter| compressor.set_parameter(*parameter).unwrap());
    compressor.compress(&text()).unwrap()
}

#[test]
fn chunks_round_trip() {
    let noise: Vec<u8> =
        (0..20_000u64).flat_map(|i| xxhash_rust::xxh3::xxh3_64(&i.to_le_bytes()).to_le_bytes()).collect();
    let mut decoder = Decoder::default();
    let mut out = Vec::new();
    for plain in [text(), noise.clone(), vec![7; 1], vec![9; CHUNK_MAX as usize], text()] {
        let stored = encode(&plain);
        decoder.decode(&stored, plain.len(), &mut out).unwrap();
        assert_eq!(out, plain);
    }
    assert_eq!(encode(&noise), noise, "no gain: as it is");
    assert!(encode(&text()).len() < text().len() / 20);
}

#[test]
fn lengths_out_of_range_are_refused() {
    assert!(matches!(refused(b"", 0), CodecError::PlainLen { found: 0 }));
    let long = CHUNK_MAX as usize + 1;
    assert!(matches!(refused(&vec![1; long], long), CodecError::PlainLen { .. }));
    assert!(matches!(refused(&encode(&text()), usize::MAX), CodecError::PlainLen { .. }));
    assert!(matches!(refused(b"abc", 2), CodecError::StoredLen { max: 2, found: 3 }));
}

#[test]
fn frames_of_another_kind_are_refused_by_name() {
    let len = text().len();
    let good = encode(&text());
    assert_eq!(expects(&[], len), "a frame header");
    assert_eq!(expects(&good[..3], len), "a frame header");
    assert_eq!(expects(&good[..5], len), "a frame header");
    assert_eq!(expects(b"\x50\x2a\x4d\x18\x00\x00\x00\x00", len), "the magic 28b52ffd", "skippable frame");
    assert_eq!(expects(&with(&[CParameter::ChecksumFlag(true)]), len), "no checksum and no reserved bit");
    assert_eq!(expects(&with(&[CParameter::ContentSizeFlag(false)]), len), "a content size");
    assert_eq!(expects(&good, len - 1), "the content size of the index");
    assert_eq!(expects(&good, len + 1), "the content size of the index");

    let mut dictionary = good.clone();
    dictionary[4] |= 1;
    assert_eq!(expects(&dictionary, len), "no dictionary");
    // Not a single segment, 16 MiB window: descriptor byte with a size of four bytes.
    let mut window = b"\x28\xb5\x2f\xfd\x80\x70".to_vec();
    window.extend((len as u32).to_le_bytes());
    window.extend(b"\x01\x00\x00");
    assert_eq!(expects(&window, len), "a window of at most 8 MiB");

    let whole = "one whole frame and nothing behind it";
    assert_eq!(expects(&[&good[..], b"\0"].concat(), len), whole);
    assert_eq!(expects(&[&good[..], &good[..]].concat(), len), whole);
    assert_eq!(expects(&[&good[..], b"\x50\x2a\x4d\x18\x00\x00\x00\x00"].concat(), len), whole);
    assert_eq!(expects(&good[..good.len() - 1], len), whole);
}

/// A header that promises the right size over blocks that hold less, or more.
#[test]
fn blocks_that_do_not_match_the_header_are_refused() {
    let frame = |blocks: &[u8]| [b"\x28\xb5\x2f\xfd\x80\x58\x00\x20\x00\x00".as_slice(), blocks].concat();
    let mut out = Vec::new();
    // RLE blocks: length 8192 in one block is right.
    decode(&frame(b"\x03\x00\x01A"), 8192, &mut out).unwrap();
    assert_eq!(out, vec![b'A'; 8192]);
    assert!(matches!(
        refused(&frame(b"\x03\x00\x00A"), 8192),
        CodecError::Corrupt(_) | CodecError::Short { .. }
    ));
    // 128 KiB a block of four bytes: the decompressor stops at the end of the buffer.
    let bomb = [b"\x02\x00\x10A".repeat(1000), b"\x03\x00\x10A".to_vec()].concat();
    assert!(matches!(refused(&frame(&bomb), 8192), CodecError::Corrupt(_)));
}

proptest! {
    #[test]
    fn any_bytes_round_trip(plain in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 1..5000)) {
        let stored = encode(&plain);
        prop_assert!(stored.len() <= plain.len());
        let mut out = Vec::new();
        decode(&stored, plain.len(), &mut out).unwrap();
        prop_assert_eq!(out, plain);
    }

    #[test]
    fn damage_never_panics_nor_grows(at in any::<prop::sample::Index>(), flip in 1u8..=255, cut in 0usize..40) {
        let mut stored = encode(&text());
        let at = at.index(stored.len());
        stored[at] ^= flip;
        stored.truncate(stored.len() - cut.min(stored.len()));
        let mut out = Vec::new();
        if decode(&stored, text().len(), &mut out).is_ok() {
            prop_assert_eq!(out.len(), text().len());
        }
    }

    #[test]
    fn any_stored_bytes_are_refused_or_exact(
        tail in prop::collection::vec(any::<u8>(), 0..300),
        plain_len in 1usize..5000,
    ) {
        let stored = [b"\x28\xb5\x2f\xfd".as_slice(), &tail].concat();
        let mut out = Vec::new();
        if decode(&stored, plain_len, &mut out).is_ok() {
            prop_assert_eq!(out.len(), plain_len);
        }
    }
}

#[test]
fn more_effort_gives_fewer_bytes_of_the_same_kind() {
    let plain: Vec<u8> = (0..20_000_u32).flat_map(|n| (n * n % 1009).to_le_bytes()).collect();
    let stored = [super::Compression::Fast, super::Compression::Best].map(|compression| {
        let mut out = Vec::new();
        let mut encoder = super::Encoder::new(compression);
        encoder.append(&plain, &mut out);
        let mut found = Vec::new();
        decode(&out, plain.len(), &mut found).unwrap();
        assert_eq!(found, plain);
        out.clear();
        assert_eq!(encoder.append(&plain, &mut out), out.len());
        out.len()
    });
    assert!(stored[1] < stored[0], "{stored:?}");
}

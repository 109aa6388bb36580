use proptest::prelude::*;

use super::*;
use crate::index::{Entry, Index};
use crate::{BLOCK, ChunkId, ObjectId};

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

fn decode(stored: &[u8], len: u32, prefix: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut out = Vec::new();
    decode_segment(stored, len, prefix, &mut |bytes| {
        out.extend_from_slice(bytes);
        true
    })?;
    Ok(out)
}

/// An index of `lens` blocks each; 0 stands for a zero entry of one block.
fn index(lens: &[u32]) -> Index {
    let entry = |(number, blocks): (usize, &u32)| match *blocks {
        0 => Entry::zero(BLOCK as u32),
        blocks => Entry {
            chunk: ChunkId::of(&number.to_le_bytes()),
            object: ObjectId::of(&number.to_le_bytes()),
            plain_len: blocks * BLOCK as u32,
            stored_len: blocks * BLOCK as u32,
        },
    };
    Index::new(lens.iter().enumerate().map(entry).collect()).unwrap()
}

fn segment(plain_blocks: u32, base: &[(u32, u32)], entries: &[(u32, u32)]) -> Segment {
    Segment {
        object: ObjectId::of(b"segment"),
        stored_len: 100,
        plain_len: plain_blocks * BLOCK as u32,
        base: base.iter().map(|&(first, count)| BlockRange { first, count }).collect(),
        entries: entries.iter().map(|&(first, count)| EntryRun { first, count }).collect(),
    }
}

#[test]
fn what_the_base_has_costs_nothing() {
    let old = noise(1, 3 << 20);
    let mut new = old.clone();
    new[1 << 20..][..100].copy_from_slice(&noise(2, 100));
    let stored = encode_segment(&new, &old, 19).unwrap();
    assert!(stored.len() < 2000, "{}", stored.len());
    assert_eq!(decode(&stored, new.len() as u32, &old).unwrap(), new);
    let wrong = decode(&stored, new.len() as u32, &noise(3, 3 << 20)).unwrap();
    assert_ne!(wrong, new, "a wrong base is found by the digests of the entries");
}

#[test]
fn the_farthest_bytes_of_the_largest_base_are_reached() {
    let old = noise(1, SEGMENT_BASE_MAX as usize);
    let mut new = noise(2, 8 << 20);
    new.extend_from_slice(&old[..64 << 10]);
    let stored = encode_segment(&new, &old, 3).unwrap();
    assert_eq!(decode(&stored, new.len() as u32, &old).unwrap(), new);
}

#[test]
fn a_stream_of_the_largest_segment_fits_the_window() {
    let plain: Vec<u8> = noise(1, 1 << 20).repeat(32);
    assert_eq!(plain.len() as u32, SEGMENT_PLAIN_MAX);
    let stored = encode_segment(&plain, &[], 3).unwrap();
    assert_eq!(decode(&stored, SEGMENT_PLAIN_MAX, &[]).unwrap(), plain);
}

#[test]
fn frames_that_lie_are_refused() {
    let plain = noise(1, 10_000);
    let stored = encode_segment(&plain, &[], 3).unwrap();
    let found = |stored: &[u8], len| decode(stored, len, &[]).unwrap_err().to_string();
    assert_eq!(found(&stored, 9_999), "segment: expected a frame of 9999 plain bytes, found 10000");
    assert_eq!(
        found(&[stored.as_slice(), &[0]].concat(), 10_000),
        "segment: expected one whole zstd frame, found 1 bytes behind it"
    );
    assert!(found(&stored[..stored.len() - 1], 10_000).starts_with("segment: expected one whole zstd frame"));
    assert_eq!(found(b"none", 4), "segment: expected one whole zstd frame, found no frame");
    assert!(
        decode_segment(&stored, 10_000, &[], &mut |_| false).is_err_and(|e| matches!(e, FrameError::Stopped))
    );
    let huge = {
        let mut encoder = zstd::stream::raw::Encoder::new(3).unwrap();
        encoder.set_parameter(zstd::zstd_safe::CParameter::WindowLog(27)).unwrap();
        let mut out = Vec::new();
        let mut writer = zstd::stream::zio::Writer::new(&mut out, encoder);
        std::io::Write::write_all(&mut writer, &plain).unwrap();
        writer.finish().unwrap();
        out
    };
    assert_eq!(found(&huge, 10_000), "segment: expected a frame of 10000 plain bytes, found no length");
}

#[test]
fn an_index_travels_as_its_difference() {
    let old = index(&(1..2000).map(|n| n % 60 + 1).collect::<Vec<_>>()).encode();
    let mut new = old.clone();
    new[24 + 72 * 700..][..8].copy_from_slice(&noise(9, 8));
    let stored = encode_index_patch(&new, &old).unwrap();
    assert!(stored.len() < 200, "{}", stored.len());
    assert_eq!(decode_index_patch(&stored, &old, new.len() as u64).unwrap(), new);
    assert!(decode_index_patch(&stored, &old, new.len() as u64 + 1).is_err());
    assert!(decode_index_patch(&stored, &old, u64::MAX).is_err());
}

#[test]
fn tables_are_checked_against_both_images() {
    let (base_id, target_id) = (ObjectId::of(b"base"), ObjectId::of(b"target"));
    let (base, target) = (index(&[4, 4]), index(&[2, 0, 3, 1]));
    let check = |segments: Vec<Segment>| {
        let table = SegmentTable::new(Some(base_id), target_id, segments).unwrap();
        table.check((target_id, &target), Some((base_id, &base))).map_err(|error| error.to_string())
    };
    assert_eq!(check(vec![segment(5, &[(6, 2)], &[(0, 1), (2, 1)]), segment(1, &[], &[(3, 1)])]), Ok(()));
    for (segments, expected) in [
        (vec![segment(5, &[], &[(0, 2)])], "segment 0: expected data entries of 0 to 3, found 1"),
        (vec![segment(1, &[], &[(3, 2)])], "segment 0: expected data entries of 0 to 3, found 4"),
        (vec![segment(2, &[], &[(2, 1)])], "segment 0: expected 3 plain bytes, found 2"),
        (
            vec![segment(1, &[], &[(3, 1)]), segment(1, &[], &[(3, 1)])],
            "segment 1: expected each entry once, found entry 3 again",
        ),
        (
            vec![segment(1, &[(7, 2)], &[(3, 1)])],
            "segment 0: expected blocks of the 8 of the base, found BlockRange { first: 7, count: 2 }",
        ),
    ] {
        let expected = expected.replace("3 plain bytes, found 2", "12288 plain bytes, found 8192");
        assert_eq!(check(segments), Err(expected));
    }
    let table = SegmentTable::new(Some(base_id), target_id, vec![]).unwrap();
    assert!(table.check((base_id, &target), Some((base_id, &base))).is_err());
    assert!(table.check((target_id, &target), Some((target_id, &base))).is_err());
    assert!(table.check((target_id, &target), None).is_err());
    let stream = SegmentTable::new(None, target_id, vec![segment(2, &[], &[(0, 1)])]).unwrap();
    assert_eq!(stream.check((target_id, &target), None), Ok(()));
    assert_eq!(stream.check((target_id, &target), Some((base_id, &base))), Ok(()));
}

#[test]
fn segments_keep_the_rules() {
    let id = ObjectId::of(b"x");
    let refused = |segment: Segment| SegmentTable::new(None, id, vec![segment]).unwrap_err().to_string();
    let good = segment(1, &[], &[(0, 1)]);
    let stored = |stored_len| refused(Segment { stored_len, ..good.clone() });
    assert_eq!(stored(0), "segment 0: expected 1 to 16777216 stored bytes, found 0");
    assert_eq!(
        stored(SEGMENT_STORED_MAX + 1),
        "segment 0: expected 1 to 16777216 stored bytes, found 16777217"
    );
    assert_eq!(refused(segment(0, &[], &[(0, 1)])), "segment 0: expected 1 to 33554432 plain bytes, found 0");
    assert_eq!(refused(segment(1, &[(0, 1)], &[(0, 1)])), "segment 0: expected no base, found 1 base ranges");
    assert_eq!(refused(segment(1, &[], &[])), "segment 0: expected entries, found none");
    assert!(
        refused(segment(1, &[], &[(5, 1), (5, 1)]))
            .starts_with("segment 0: expected a run of entries from 6")
    );
    assert!(refused(segment(1, &[], &[(u32::MAX, 1)])).starts_with("segment 0: expected a run of entries"));
    let too_much = segment(1, &[(0, 2048), (9, 1)], &[(0, 1)]);
    let error = SegmentTable::new(Some(id), id, vec![too_much]).unwrap_err().to_string();
    assert_eq!(error, "segment 0: expected at most 8388608 bytes of the base, found 8392704");
}

proptest! {
    #[test]
    fn a_table_is_its_bytes(
        base in any::<bool>(),
        segments in prop::collection::vec((1..9u32, 0..3u32, 1..4u32), 0..20),
    ) {
        let segments = segments.iter().map(|&(blocks, ranges, runs)| {
            let ranges: Vec<_> = (0..if base { ranges } else { 0 }).map(|n| (n * 7, n + 1)).collect();
            segment(blocks, &ranges, &(0..runs).map(|n| (n * 3, 2)).collect::<Vec<_>>())
        });
        let base = base.then(|| ObjectId::of(b"base"));
        let table = SegmentTable::new(base, ObjectId::of(b"t"), segments.collect()).unwrap();
        let bytes = table.encode();
        prop_assert_eq!(SegmentTable::parse(&bytes).unwrap(), table);
        for len in 0..bytes.len() {
            prop_assert!(SegmentTable::parse(&bytes[..len]).is_err());
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        prop_assert!(SegmentTable::parse(&longer).is_err());
    }

    #[test]
    fn any_bytes_are_a_table_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), count in any::<u32>()) {
        let mut table = b"BSCLSEG1".to_vec();
        table.extend_from_slice(&bytes);
        if table.len() >= 80 {
            table[72..76].copy_from_slice(&count.to_le_bytes());
            table[76..80].fill(0);
        }
        if let Ok(parsed) = SegmentTable::parse(&table) {
            prop_assert_eq!(parsed.encode(), table);
        }
    }

    #[test]
    fn any_bytes_decode_to_the_right_length_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..300), flip in any::<(u16, u8)>()) {
        let plain = [bytes.as_slice(), &[7; 500]].concat();
        let prefix = noise(4, 5000);
        let mut stored = encode_segment(&plain, &prefix, 3).unwrap();
        let at = flip.0 as usize % stored.len();
        stored[at] ^= flip.1;
        if let Ok(found) = decode(&stored, plain.len() as u32, &prefix) {
            prop_assert_eq!(found.len(), plain.len());
        }
    }
}

use std::collections::HashSet;

use proptest::prelude::*;

use super::{CHUNK_MAX, Delta, ENTRY, Entry, HEADER, INDEX_MAX, Index, IndexError, ZERO_MAX, encoded_len};
use crate::{ChunkId, ObjectId};

fn entry(content: u8, plain_len: u32, stored_len: u32) -> Entry {
    Entry { chunk: ChunkId::of(&[content]), object: ObjectId::of(&[content, 1]), plain_len, stored_len }
}

fn sample() -> Index {
    Index::new(vec![
        entry(1, 16384, 900),
        Entry::zero(8192),
        entry(2, 4096, 4096),
        entry(1, 16384, 900),
        entry(3, 100, 100),
    ])
    .unwrap()
}

fn refused(change: impl FnOnce(&mut Vec<Entry>)) -> String {
    let mut entries = sample().entries().to_vec();
    change(&mut entries);
    let error = Index::new(entries).unwrap_err();
    // What cannot be made cannot be read either.
    error.to_string()
}

#[test]
fn bytes_round_trip_and_offsets_add_up() {
    let index = sample();
    let bytes = index.encode();
    assert_eq!(bytes.len() as u64, encoded_len(5));
    assert_eq!(Index::parse(&bytes).unwrap(), index);
    assert_eq!(index.plain_size(), 45156);
    let offsets: Vec<_> = index.iter_at().map(|(offset, _)| offset).collect();
    assert_eq!(offsets, [0, 16384, 24576, 28672, 45056]);
}

#[test]
fn a_delta_counts_every_object_once() {
    let all = Delta { chunks: 3, stored_bytes: 900 + 4096 + 100, plain_bytes: 16384 + 4096 + 100 };
    assert_eq!(sample().missing_from(&HashSet::new()), all);
    let have = HashSet::from([ChunkId::of(&[1]), ChunkId::of(&[9])]);
    let delta = Delta { chunks: 2, stored_bytes: 4196, plain_bytes: 4196 };
    assert_eq!(sample().missing_from(&have), delta);
}

#[test]
fn entries_out_of_range_are_refused_by_position() {
    let too_long = CHUNK_MAX + 4096;
    let range = format!("expected plain length 1 to {CHUNK_MAX}");
    for len in [0, too_long] {
        let text = refused(|entries| entries[2] = entry(2, len, 1));
        assert_eq!(text, format!("index: entry 2: {range}, found {len}"));
    }
    assert!(
        refused(|entries| entries[1].plain_len = ZERO_MAX + 4096).contains("entry 1: expected plain length")
    );
    assert!(
        refused(|entries| entries[0].plain_len = 16383).contains("entry 0: expected plain length a multiple")
    );
    assert!(
        refused(|entries| entries[2].stored_len = 4097)
            .contains("entry 2: expected stored length at most 4096")
    );
    let digests = "expected zero digests exactly where the stored length is 0";
    assert!(refused(|entries| entries[0].stored_len = 0).contains(digests));
    assert!(refused(|entries| entries[1].stored_len = 1).contains(digests));
    assert!(refused(|entries| entries[1].chunk = ChunkId::of(b"x")).contains(digests));
    assert!(refused(|entries| entries[0].object = ObjectId::from_bytes([0; 32])).contains(digests));
}

#[test]
fn no_entry_and_too_many_are_refused() {
    assert_eq!(Index::new(Vec::new()), Err(IndexError::Size { expected: 1, found: 0 }));
    let most = (INDEX_MAX as usize - HEADER) / ENTRY;
    assert!(Index::new(vec![Entry::zero(4096); most]).is_ok());
    assert!(matches!(Index::new(vec![Entry::zero(4096); most + 1]), Err(IndexError::Length { .. })));
    let endless = vec![0; INDEX_MAX as usize + 1];
    assert!(
        matches!(Index::parse(&endless), Err(IndexError::Length { found, .. }) if found == INDEX_MAX + 1)
    );
}

#[test]
fn every_header_field_is_checked() {
    let good = sample().encode();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Index::parse(&bytes)
    };
    assert!(matches!(with(7, b'2'), Err(IndexError::Header { .. })));
    assert!(matches!(with(20, 1), Err(IndexError::Header { .. })));
    assert_eq!(with(8, 0x65), Err(IndexError::Size { expected: 45157, found: 45156 }));
    assert!(matches!(with(16, 4), Err(IndexError::Length { .. })));
    assert!(matches!(with(19, 255), Err(IndexError::Length { .. })));
    assert!(matches!(Index::parse(&good[..good.len() - 1]), Err(IndexError::Length { .. })));
    assert!(matches!(Index::parse(&[&good[..], b"\0"].concat()), Err(IndexError::Length { .. })));
    assert!(matches!(Index::parse(b"BSCLIDX1"), Err(IndexError::Length { found: 8, .. })));
}

fn any_entries() -> impl Strategy<Value = Vec<Entry>> {
    let data = (any::<u8>(), 1u32..=64, 1u32..4096)
        .prop_map(|(content, blocks, stored)| entry(content, blocks * 4096, stored));
    let zero = (1u32..1000).prop_map(|blocks| Entry::zero(blocks * 4096));
    prop::collection::vec(prop_oneof![data, zero], 1..50)
}

proptest! {
    #[test]
    fn indexes_round_trip(entries in any_entries(), cut in 0u32..4096) {
        let mut entries = entries;
        if let Some(last) = entries.last_mut() {
            last.plain_len -= cut;
            last.stored_len = last.stored_len.min(last.plain_len);
        }
        let index = Index::new(entries).unwrap();
        prop_assert_eq!(Index::parse(&index.encode()).unwrap(), index);
    }

    /// One byte string has one reading: whatever is accepted is encoded to the same bytes.
    #[test]
    fn damage_is_refused_or_read_back_alike(
        entries in any_entries(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = Index::new(entries).unwrap().encode();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(index) = Index::parse(&bytes) {
            prop_assert_eq!(index.encode(), bytes);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Index::parse(&bytes);
        let _ = Index::parse(&[b"BSCLIDX1".as_slice(), &bytes].concat());
    }
}

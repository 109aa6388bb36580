//! What casync itself wrote, what comes back, and what is refused.

use proptest::prelude::*;

use super::*;

const SIZES: Sizes = Sizes { min: 4096, avg: 65536, max: 262_144 };

fn chunk(byte: u8, len: u32) -> CasyncChunk {
    CasyncChunk { id: CasyncId([byte; 32]), len }
}

fn three() -> CasyncIndex {
    CasyncIndex::new(Hash::Sha512_256, SIZES, vec![chunk(1, 4096), chunk(2, 262_144), chunk(3, 5)]).unwrap()
}

/// `: > e; casync make e.caibx e` with Debian's casync 2.
#[test]
fn an_empty_file_is_as_casync_writes_it() {
    let sizes = Sizes { min: 16384, avg: 65536, max: 262_144 };
    let empty = CasyncIndex::new(Hash::Sha512_256, sizes, Vec::new()).unwrap();
    let hex: String = empty.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        "3000000000000000f99f127b9c4d8296",
        "00000000000000b00040000000000000",
        "00000100000000000000040000000000",
        "ffffffffffffffff7d41172f119e5be7",
        "00000000000000000000000000000000",
        "30000000000000003800000000000000",
        "d1ec49550e054f4b",
    ];
    assert_eq!(hex, expected.concat());
    assert_eq!(CasyncIndex::parse(&empty.encode()).unwrap(), empty);
}

#[test]
fn every_field_is_checked() {
    let good = three().encode();
    assert_eq!(CasyncIndex::parse(&good).unwrap(), three());
    let end = good.len();
    for (at, field) in [
        (0, "size of the header"),
        (8, "type of the header"),
        (31, "smallest chunk"),
        (39, "average chunk"),
        (47, "largest chunk"),
        (48, "size of the table"),
        (56, "type of the table"),
        (end - 40, "tail"),
        (end - 32, "tail"),
        (end - 24, "offset of the table"),
        (end - 16, "length of the table"),
        (end - 8, "marker at the end"),
    ] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let error = CasyncIndex::parse(&bad).unwrap_err();
        assert!(matches!(error, CaibxError::Field { field: found, .. } if found == field), "{at}: {error}");
    }
}

#[test]
fn the_end_is_where_it_must_be() {
    let good = three().encode();
    for len in 0..good.len() {
        assert!(CasyncIndex::parse(&good[..len]).is_err(), "cut to {len} bytes");
    }
    let mut long = good.clone();
    long.extend([0; 40]);
    assert!(matches!(CasyncIndex::parse(&long), Err(CaibxError::Field { field: "offset of the table", .. })));
    let huge = vec![0; CAIBX_MAX as usize + 1];
    assert!(
        matches!(CasyncIndex::parse(&huge), Err(CaibxError::Length { found, .. }) if found == CAIBX_MAX + 1)
    );
}

#[test]
fn offsets_rise_by_at_most_a_chunk() {
    let good = three().encode();
    // The end of the second chunk.
    let at = 64 + 40;
    for (end, what) in [
        (4096, "does not rise"),
        (4095, "falls"),
        (0, "is the tail's"),
        (4096 + 262_145, "is too far"),
        (u64::MAX, "is endless"),
        (4096 + 262_144 + 5, "is that of the next"),
    ] {
        let mut bad = good.clone();
        bad[at..at + 8].copy_from_slice(&end.to_le_bytes());
        let error = CasyncIndex::parse(&bad).unwrap_err();
        assert!(matches!(error, CaibxError::Chunk { position: 1 | 2, .. }), "the end {what}: {error}");
    }
}

#[test]
fn limits_hold() {
    let max = Sizes { min: 1, avg: 1, max: CHUNK_MAX };
    let whole = (SIZE_MAX / u64::from(CHUNK_MAX)) as usize;
    let mut chunks = vec![chunk(1, CHUNK_MAX); whole];
    assert_eq!(CasyncIndex::new(Hash::Sha256, max, chunks.clone()).unwrap().size(), SIZE_MAX);
    chunks.push(chunk(1, 1));
    let error = CasyncIndex::new(Hash::Sha256, max, chunks).unwrap_err();
    assert!(matches!(error, CaibxError::Chunk { position, .. } if position == whole), "{error}");
    for sizes in [(0, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, CHUNK_MAX + 1)] {
        let sizes = Sizes { min: sizes.0, avg: sizes.1, max: sizes.2 };
        let error = CasyncIndex::new(Hash::Sha256, sizes, Vec::new()).unwrap_err();
        assert!(matches!(error, CaibxError::Field { field: "sizes", .. }), "{error}");
    }
    let many = vec![chunk(1, 1); (CAIBX_MAX / ITEM) as usize];
    assert!(matches!(CasyncIndex::new(Hash::Sha256, max, many), Err(CaibxError::Length { .. })));
}

fn any_index() -> impl Strategy<Value = CasyncIndex> {
    let chunks = proptest::collection::vec((any::<[u8; 32]>(), 1..=SIZES.max), 0..20);
    (any::<bool>(), chunks).prop_map(|(short, chunks)| {
        let hash = if short { Hash::Sha256 } else { Hash::Sha512_256 };
        let chunks = chunks.into_iter().map(|(id, len)| CasyncChunk { id: CasyncId(id), len }).collect();
        CasyncIndex::new(hash, SIZES, chunks).unwrap()
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(index in any_index()) {
        prop_assert_eq!(CasyncIndex::parse(&index.encode()).unwrap(), index);
    }

    #[test]
    fn any_bytes_are_refused_or_within_the_limits(index in any_index(), changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        let mut bytes = index.encode();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        if let Ok(index) = CasyncIndex::parse(&bytes) {
            prop_assert!(index.chunks().iter().all(|chunk| (1..=CHUNK_MAX).contains(&chunk.len)));
            prop_assert_eq!(index.chunks().iter().map(|chunk| u64::from(chunk.len)).sum::<u64>(), index.size());
            prop_assert_eq!(CasyncIndex::parse(&index.encode()).unwrap(), index);
        }
    }
}

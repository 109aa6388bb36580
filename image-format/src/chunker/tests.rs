use std::collections::HashSet;
use std::io::{self, Read};

use proptest::prelude::*;

use super::{BLOCK_LEN, MAX_BLOCKS, MIN_BLOCKS, Piece, chunks, is_zero_block};
use crate::index::{CHUNK_MAX, ZERO_MAX};

/// Deterministic bytes without zero blocks.
fn noise(blocks: usize, seed: u64) -> Vec<u8> {
    let word = |i: usize| xxhash_rust::xxh3::xxh3_64_with_seed(&i.to_le_bytes(), seed).to_le_bytes();
    (0..blocks * BLOCK_LEN / 8).flat_map(word).collect()
}

fn cut(data: &[u8]) -> Vec<Piece> {
    chunks(data).collect::<io::Result<_>>().unwrap()
}

fn join(pieces: &[Piece]) -> Vec<u8> {
    let bytes = |piece: &Piece| match piece {
        Piece::Data(data) => data.clone(),
        Piece::Zero(len) => vec![0; *len as usize],
    };
    pieces.iter().flat_map(bytes).collect()
}

/// Gives at most `step` bytes a call and is interrupted before each.
struct Trickle<'d> {
    data: &'d [u8],
    step: usize,
    interrupted: bool,
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = self.step.min(buffer.len());
        self.data.read(&mut buffer[..len])
    }
}

/// The cuts are part of the format: other cuts would make every node fetch a whole image.
#[test]
fn cuts_of_known_data_stay() {
    let lens: Vec<_> =
        cut(&noise(256, 1)).iter().map(|piece| join(std::slice::from_ref(piece)).len()).collect();
    let blocks: Vec<_> = lens.iter().map(|len| len / BLOCK_LEN).collect();
    assert_eq!(blocks, [64, 64, 36, 14, 18, 10, 26, 7, 17]);
}

#[test]
fn nothing_gives_no_piece_and_zeros_give_runs() {
    assert_eq!(cut(&[]), []);
    assert_eq!(cut(&[0; 3 * BLOCK_LEN]), [Piece::Zero(3 * 4096)]);
    let mut data = noise(2, 2);
    data.extend([0; BLOCK_LEN]);
    data.extend(noise(1, 3));
    data.extend([0; 100]);
    let pieces = cut(&data);
    // The short block at the end is data, though zero.
    let expected =
        [Piece::Data(noise(2, 2)), Piece::Zero(4096), Piece::Data([noise(1, 3), vec![0; 100]].concat())];
    assert_eq!(pieces, expected);
}

#[test]
fn zero_runs_are_split_where_an_entry_ends() {
    assert_eq!(chunks(io::empty()).zero_max, u64::from(ZERO_MAX));
    let mut chunker = chunks(io::repeat(0).take(9 * 4096));
    chunker.zero_max = 4 * 4096;
    let pieces: Vec<_> = chunker.map(Result::unwrap).collect();
    assert_eq!(pieces, [4, 4, 1].map(|blocks| Piece::Zero(blocks * 4096)));
}

#[test]
fn a_block_inserted_changes_few_chunks() {
    let before = noise(2000, 4);
    let mut after = before.clone();
    after.splice(..0, noise(1, 5));
    let known: HashSet<_> = cut(&before).into_iter().map(|piece| join(&[piece])).collect();
    let new =
        cut(&after).into_iter().filter(|piece| !known.contains(&join(std::slice::from_ref(piece)))).count();
    assert!(new <= 6, "{new} of {} chunks are new", known.len());
}

#[test]
fn a_read_error_is_passed_on_once() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken disk"))
        }
    }
    let mut pieces = chunks(Broken);
    assert_eq!(pieces.next().unwrap().unwrap_err().to_string(), "broken disk");
    assert!(pieces.next().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn pieces_cover_the_input_however_it_is_read(
        parts in prop::collection::vec((0usize..40, any::<bool>(), any::<u64>()), 0..8),
        tail in 0usize..BLOCK_LEN,
        step in 1usize..70_000,
    ) {
        let part = |&(blocks, zero, seed): &(usize, bool, u64)| {
            if zero { vec![0; blocks * BLOCK_LEN] } else { noise(blocks, seed) }
        };
        let mut data: Vec<u8> = parts.iter().flat_map(part).collect();
        data.extend(vec![1; tail]);
        let pieces = cut(&data);
        prop_assert_eq!(&join(&pieces), &data);
        let trickle = chunks(Trickle { data: &data, step: step.max(data.len() / 50), interrupted: false });
        prop_assert_eq!(&trickle.collect::<io::Result<Vec<_>>>().unwrap(), &pieces);
        for (position, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Zero(len) => prop_assert!(*len > 0 && *len % 4096 == 0),
                Piece::Data(data) => {
                    let is_last = position + 1 == pieces.len();
                    prop_assert!(!data.is_empty() && data.len() <= CHUNK_MAX as usize);
                    prop_assert!(is_last || data.len() % BLOCK_LEN == 0);
                    prop_assert!(!data.chunks(BLOCK_LEN).any(is_zero_block));
                    let short = data.len() < MIN_BLOCKS * BLOCK_LEN;
                    let before_zeros = matches!(pieces.get(position + 1), Some(Piece::Zero(_)));
                    prop_assert!(!short || is_last || before_zeros);
                    prop_assert!(data.len() <= MAX_BLOCKS * BLOCK_LEN);
                }
            }
        }
    }
}

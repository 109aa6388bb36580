use std::collections::HashSet;
use std::io::{self, Read};

use proptest::prelude::*;

use super::{
    BLOCK_LEN, Cutter, FILE_BLOCKS, FileMap, GROUP_BLOCKS, MAX_BLOCKS, MIN_BLOCKS, MapError, Piece, chunks,
    image_chunks, is_zero_block,
};
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
    assert_eq!(blocks, [7, 12, 9, 16, 18, 15, 13, 5, 11, 11, 40, 14, 12, 64, 9]);
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
    let mut chunker = chunks(io::repeat(0).take(9 * 4096));
    chunker.cutter.zero_max = 4;
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

#[test]
fn a_long_run_of_zeros_takes_no_memory() {
    let mut chunker = chunks(io::repeat(0).take(16 << 20));
    assert_eq!(chunker.next().unwrap().unwrap(), Piece::Zero(16 << 20));
    assert!(chunker.buffer.capacity() < 8 << 20);
    assert!(chunker.next().is_none());
    let longest = ZERO_MAX as usize / BLOCK_LEN;
    assert_eq!(Cutter::new(None).zero_max, longest);
}

/// An image: the files' data one behind the other, with the map of it.
fn image(files: &[Vec<u8>]) -> (Vec<u8>, FileMap) {
    let mut data = Vec::new();
    let mut starts = Vec::new();
    for file in files {
        starts.push((data.len() / BLOCK_LEN) as u32);
        data.extend(file);
    }
    let blocks = data.len() / BLOCK_LEN;
    (data, FileMap::new(starts, blocks as u32).unwrap())
}

fn cut_image(files: &[Vec<u8>]) -> Vec<Piece> {
    let (data, map) = image(files);
    image_chunks(data.as_slice(), &map).collect::<io::Result<_>>().unwrap()
}

/// The blocks at which pieces begin.
fn begins(pieces: &[Piece]) -> HashSet<usize> {
    let mut at = 0;
    let mut begin = |piece: &Piece| {
        let this = at;
        at += join(std::slice::from_ref(piece)).len() / BLOCK_LEN;
        this
    };
    pieces.iter().map(&mut begin).collect()
}

#[test]
fn cuts_of_a_known_image_stay() {
    let sizes = [1, 30, 2, 2, 2, 2, 2, 1, 1, 11, 12, 100, 3];
    let files: Vec<_> = sizes.iter().zip(1..).map(|(blocks, seed)| noise(*blocks, seed)).collect();
    let blocks: Vec<_> =
        cut_image(&files).iter().map(|piece| join(std::slice::from_ref(piece)).len() / BLOCK_LEN).collect();
    assert_eq!(blocks, [1, 30, 6, 17, 12, 12, 13, 14, 24, 10, 27, 3]);
}

/// Other content in one large file: its chunks alone are others.
#[test]
fn a_change_in_a_large_file_touches_no_other() {
    let mut files: Vec<_> = (0..60).map(|seed| noise(1 + seed as usize * 7 % 40, seed)).collect();
    let before = cut_image(&files);
    let changed = (30..).find(|file| files[*file].len() >= FILE_BLOCKS * BLOCK_LEN).unwrap();
    files[changed] = noise(57, 1000);
    let known: HashSet<_> = before.iter().map(|piece| join(std::slice::from_ref(piece))).collect();
    let new: Vec<u8> = cut_image(&files)
        .iter()
        .map(|piece| join(std::slice::from_ref(piece)))
        .filter(|piece| !known.contains(piece))
        .flatten()
        .collect();
    assert_eq!(new, files[changed]);
}

#[test]
fn a_file_inserted_changes_few_chunks() {
    let mut files: Vec<_> = (0..2000).map(|seed| noise(1 + seed as usize % 3, seed)).collect();
    let known: HashSet<_> = cut_image(&files).into_iter().map(|piece| join(&[piece])).collect();
    files.insert(700, noise(2, 9999));
    let new =
        cut_image(&files).into_iter().filter(|piece| !known.contains(&join(std::slice::from_ref(piece))));
    let new = new.count();
    assert!(new <= 5, "{new} of {} chunks are new", known.len());
}

#[test]
fn an_image_of_another_size_than_its_map_is_refused() {
    let (data, map) = image(&[noise(3, 1), noise(20, 2)]);
    for wrong in [&data[..data.len() - BLOCK_LEN], &[&data[..], &[1]].concat()] {
        let error = image_chunks(wrong, &map).find_map(Result::err).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let found = wrong.len().div_ceil(BLOCK_LEN);
        assert_eq!(error.to_string(), format!("the file map is of an image of 23 blocks, found {found}"));
    }
}

#[test]
fn hostile_maps_are_refused() {
    let good = FileMap::new(vec![0, 1, 7], 9).unwrap();
    let bytes = good.encode();
    assert_eq!(FileMap::parse(&bytes).unwrap(), good);
    for cut in 0..bytes.len() {
        assert!(matches!(FileMap::parse(&bytes[..cut]), Err(MapError::Length { .. })), "{cut} bytes");
    }
    assert!(matches!(FileMap::parse(&[&bytes[..], &[0]].concat()), Err(MapError::Length { .. })));
    let mut other = bytes.clone();
    other[7] = b'2';
    assert_eq!(FileMap::parse(&other), Err(MapError::Header));
    let mut many = bytes;
    many[12..16].fill(0xff);
    assert!(matches!(FileMap::parse(&many), Err(MapError::Length { found: 28, .. })));

    assert_eq!(FileMap::new(vec![0], 0), Err(MapError::Blocks { found: 0 }));
    assert_eq!(FileMap::new(vec![0], u32::MAX), Err(MapError::Blocks { found: u32::MAX }));
    let start = |starts: &[u32]| match FileMap::new(starts.to_vec(), 9) {
        Err(MapError::Start { position, expected, found }) => (position, expected, found),
        other => panic!("expected a wrong start, found {other:?}"),
    };
    assert_eq!(start(&[1]), (0, "0".to_owned(), 1));
    assert_eq!(start(&[0, 5, 5]), (2, "more than 5".to_owned(), 5));
    assert_eq!(start(&[0, 5, 4]), (2, "more than 5".to_owned(), 4));
    assert_eq!(start(&[0, 9]), (1, "less than 9".to_owned(), 9));
    assert!(matches!(FileMap::new(vec![], 9), Err(MapError::Length { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

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

    #[test]
    fn chunks_of_an_image_keep_to_its_files(
        parts in prop::collection::vec((1usize..40, 0u8..4, any::<u64>()), 1..15),
        step in 1usize..70_000,
    ) {
        let part = |&(blocks, zero, seed): &(usize, u8, u64)| match zero {
            0 => vec![0; blocks * BLOCK_LEN],
            1 => [noise(blocks, seed), vec![0; BLOCK_LEN]].concat(),
            _ => noise(blocks, seed),
        };
        let files: Vec<_> = parts.iter().map(part).collect();
        let (data, map) = image(&files);
        let pieces = cut_image(&files);
        prop_assert_eq!(&join(&pieces), &data);
        let trickle = Trickle { data: &data, step: step.max(data.len() / 50), interrupted: false };
        prop_assert_eq!(&image_chunks(trickle, &map).collect::<io::Result<Vec<_>>>().unwrap(), &pieces);
        prop_assert_eq!(FileMap::parse(&map.encode()).unwrap(), map.clone());

        let begins = begins(&pieces);
        let zero = |block: u32| is_zero_block(&data[block as usize * BLOCK_LEN..][..BLOCK_LEN]);
        for (position, file) in files.iter().enumerate() {
            let blocks = (file.len() / BLOCK_LEN) as u32;
            let start = map.starts()[position];
            if blocks as usize >= FILE_BLOCKS {
                // A run of zeros may go on over the boundary.
                let at = [start, start + blocks];
                for at in at.into_iter().filter(|at| *at > 0 && *at < map.blocks() && !(zero(at - 1) && zero(*at))) {
                    prop_assert!(begins.contains(&(at as usize)), "no cut before block {}", at);
                }
            } else {
                let inner = (start + 1..start + blocks).filter(|at| zero(*at) == zero(at - 1));
                let long = pieces.iter().any(|piece| join(std::slice::from_ref(piece)).len() == MAX_BLOCKS * BLOCK_LEN);
                prop_assert!(long || inner.into_iter().all(|at| !begins.contains(&(at as usize))));
            }
        }
        prop_assert!(GROUP_BLOCKS < FILE_BLOCKS);
    }
}

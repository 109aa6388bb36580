//! How fast an artifact is cut, hashed, compressed, decoded and put under a verity tree, each on one thread except where
//! said, and how much compression and deduplication save.
//!
//! `cargo bench -p image-format -- FILE` measures FILE; without one, this program itself. `-- FILE OLDER` also says what one who
//! has OLDER would fetch for FILE. The map of `root.erofs` is `root.map` beside it, if that is there.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use image_format::chunker::{FileMap, Piece, chunks, image_chunks};
use image_format::codec::{Decoder, Encoder};
use image_format::index::encoded_len;
use image_format::{ChunkId, ObjectId, Sha256, verity};

/// zstd levels to compare with what is used.
const LEVELS: [i32; 6] = [1, 2, 3, 4, 5, 9];
/// Every how many chunks are compressed to compare levels.
const SAMPLE: usize = 8;

type Failure = Box<dyn Error>;

struct Artifact {
    data: Vec<u8>,
    map: Option<FileMap>,
}

impl Artifact {
    fn read(path: &Path) -> Result<Self, Failure> {
        let map = path.with_extension("map");
        let map = if map.is_file() { Some(FileMap::parse(&std::fs::read(map)?)?) } else { None };
        Ok(Self { data: std::fs::read(path)?, map })
    }

    fn cut(&self, with_map: bool) -> Result<Vec<Piece>, Failure> {
        Ok(match &self.map {
            Some(map) if with_map => image_chunks(self.data.as_slice(), map).collect::<Result<_, _>>()?,
            _ => chunks(self.data.as_slice()).collect::<Result<_, _>>()?,
        })
    }
}

fn timed<T>(what: &str, bytes: usize, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:<28} {:>8.0} MB/s {seconds:>8.3} s", bytes as f64 / 1e6 / seconds);
    result
}

fn mega(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

fn plain<'p>(pieces: &'p [Piece]) -> Vec<&'p [u8]> {
    let data = |piece: &'p Piece| match piece {
        Piece::Data(data) => Some(data.as_slice()),
        Piece::Zero(_) => None,
    };
    pieces.iter().filter_map(data).collect()
}

/// What is stored for `pieces`, and what one who has `older` fetches. Chunks are compressed once in all calls.
fn sizes(what: &str, pieces: &[Piece], older: Option<&[Piece]>, stored: &mut HashMap<ChunkId, usize>) {
    let mut encoder = Encoder::default();
    let mut unique = HashSet::new();
    let mut size = 0;
    for chunk in plain(pieces) {
        let id = ChunkId::of(chunk);
        let len = *stored.entry(id).or_insert_with(|| encoder.append(chunk, &mut Vec::new()));
        size += if unique.insert(id) { len } else { 0 };
    }
    let index = encoded_len(pieces.len() as u64);
    println!(
        "{what}: {} entries, index {:.2} MB, {:.1} MB stored",
        pieces.len(),
        index as f64 / 1e6,
        mega(size)
    );
    if let Some(older) = older {
        let known: HashSet<_> = plain(older).into_iter().map(ChunkId::of).collect();
        let new: Vec<_> = unique.difference(&known).map(|id| stored[id]).collect();
        println!("{what}: from the older one {} chunks, {:.1} MB", new.len(), mega(new.iter().sum()));
    }
}

fn main() -> Result<(), Failure> {
    let mut given =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).map(PathBuf::from);
    let file = given.next().map_or_else(std::env::current_exe, Ok)?;
    let artifact = Artifact::read(&file)?;
    let older = given.next().map(|path| Artifact::read(&path)).transpose()?;
    let data = &artifact.data;
    println!("{}: {:.1} MB", file.display(), mega(data.len()));

    let pieces = timed("cut", data.len(), || artifact.cut(true))?;
    let plain = plain(&pieces);
    let plain_len = plain.iter().map(|plain| plain.len()).sum();
    timed("BLAKE3 of chunks", plain_len, || plain.iter().map(|plain| ChunkId::of(plain)).max());
    let mut encoder = Encoder::default();
    let mut encode = |plain: &&[u8]| {
        let mut stored = Vec::new();
        encoder.append(plain, &mut stored);
        stored
    };
    let stored = timed("encode", plain_len, || plain.iter().map(&mut encode).collect::<Vec<_>>());
    let stored_len = stored.iter().map(Vec::len).sum::<usize>();
    timed("BLAKE3 of objects", stored_len, || stored.iter().map(|bytes| ObjectId::of(bytes)).max());
    timed("decode", plain_len, || {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        stored
            .iter()
            .zip(&plain)
            .try_for_each(|(stored, plain)| decoder.decode(stored, plain.len(), &mut out))
    })?;
    let whole = &data[..data.len() - data.len() % 4096];
    timed("verity tree, all threads", whole.len(), || {
        let mut builder = verity::Builder::new(Sha256::of(b"salt"), whole.len() as u64)?;
        whole.chunks(4 << 20).for_each(|piece| builder.update(piece));
        builder.finish()
    })?;

    println!("every {SAMPLE}th chunk at the levels of zstd, and as it is stored:");
    let sample: Vec<&[u8]> = plain.iter().copied().step_by(SAMPLE).collect();
    let len = sample.iter().map(|chunk| chunk.len()).sum();
    let left = |frames: usize| println!("{:>36.2} % left", frames as f64 * 100.0 / len as f64);
    let own = timed("stored form", len, || {
        sample.iter().map(|chunk| encoder.append(chunk, &mut Vec::new())).sum::<usize>()
    });
    left(own);
    for level in LEVELS {
        let mut compressor = zstd::bulk::Compressor::new(level)?;
        let frames = timed(&format!("level {level}"), len, || {
            sample.iter().try_fold(0, |sum, chunk| compressor.compress(chunk).map(|frame| sum + frame.len()))
        })?;
        left(frames);
    }

    let mut lens =
        plain.iter().zip(&stored).map(|(plain, stored)| (ChunkId::of(plain), stored.len())).collect();
    let cut_older = |with_map| older.as_ref().map(|older| older.cut(with_map)).transpose();
    sizes("as cut", &pieces, cut_older(true)?.as_deref(), &mut lens);
    if artifact.map.is_some() {
        sizes("by content alone", &artifact.cut(false)?, cut_older(false)?.as_deref(), &mut lens);
    }
    Ok(())
}

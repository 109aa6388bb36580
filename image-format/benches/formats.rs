//! How fast an artifact is cut, hashed, compressed, decoded and put under a verity tree, each on one thread except where
//! said, and how much compression and deduplication save.
//!
//! `cargo bench -p image-format -- FILE` measures FILE; without one, this program itself. `-- FILE OLDER` also says what one who
//! has OLDER would fetch for FILE.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::time::Instant;

use image_format::chunker::{Piece, chunks};
use image_format::codec::{Decoder, encode};
use image_format::{ChunkId, ObjectId, Sha256, verity};

fn timed<T>(what: &str, bytes: usize, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:<28} {:>8.0} MB/s {seconds:>8.3} s", bytes as f64 / 1e6 / seconds);
    result
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut given = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let file = given.next().map_or_else(std::env::current_exe, |path| Ok(path.into()))?;
    let data = std::fs::read(&file)?;
    println!("{}: {:.1} MB", file.display(), data.len() as f64 / 1e6);

    let pieces = timed("cut", data.len(), || chunks(data.as_slice()).collect::<Result<Vec<_>, _>>())?;
    let plain: Vec<_> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Data(data) => Some(data),
            Piece::Zero(_) => None,
        })
        .collect();
    let plain_len = plain.iter().map(|plain| plain.len()).sum();
    let ids =
        timed("BLAKE3 of chunks", plain_len, || plain.iter().map(|p| ChunkId::of(p)).collect::<Vec<_>>());
    let stored = timed("encode", plain_len, || plain.iter().map(|plain| encode(plain)).collect::<Vec<_>>());
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

    let unique: HashMap<_, _> = ids.iter().zip(&stored).map(|(id, bytes)| (id, bytes.len())).collect();
    println!(
        "{} chunks of {:.1} KB on average and {} zero runs; stored {:.1} MB ({:.1} %); {} distinct chunks, {:.1} MB",
        plain.len(),
        plain_len as f64 / 1e3 / plain.len().max(1) as f64,
        pieces.len() - plain.len(),
        stored_len as f64 / 1e6,
        stored_len as f64 * 100.0 / data.len() as f64,
        unique.len(),
        unique.values().sum::<usize>() as f64 / 1e6,
    );
    if let Some(older) = given.next() {
        let mut known = HashSet::new();
        for piece in chunks(std::fs::File::open(&older)?) {
            if let Piece::Data(data) = piece? {
                known.insert(ChunkId::of(&data));
            }
        }
        let new: Vec<_> = unique.iter().filter(|(id, _)| !known.contains(id)).map(|(_, len)| len).collect();
        println!(
            "from {older}: {} chunks, {:.2} MB",
            new.len(),
            new.iter().copied().sum::<usize>() as f64 / 1e6
        );
    }
    Ok(())
}

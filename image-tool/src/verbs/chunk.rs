//! `imgtool chunk`: any file, cut and stored as an image's root is.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use image_format::ObjectId;
use image_format::chunker::{FileMap, MAP_MAX};
use image_format::index::{INDEX_MAX, Index};
use image_format::store::Store;
use serde::Serialize;

use crate::build::CompressionChoice;
use crate::build::chunks::{self, Chunking};
use crate::context::Context;
use crate::fsutil;
use crate::ui::size::{bytes, count, percent, plural};
use crate::ui::table;

const EXAMPLES: &str = "\
Examples:
  imgtool chunk disk.img --store chunks --index disk.idx
  imgtool chunk disk.img --store chunks --index disk.idx             again: compresses only what has changed
  imgtool chunk new/root.erofs --map new/root.map --store chunks --known old.idx --index new.idx";

/// Cut a file into chunks and put them into a store, as `imgtool build` does with a root image
///
/// The file may be anything that can be read from any position: an image, an archive, a block device. Its chunks and its index are
/// durable when the command ends. `imgtool export --store DIR --index ID` gives the file back.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The file
    file: PathBuf,

    /// The store's directory; made if there is none
    #[arg(long, value_name = "DIR")]
    store: PathBuf,

    /// Write the index to this file, too; if it is there, it is the first of the known ones
    #[arg(long, value_name = "OUT")]
    index: Option<PathBuf>,

    /// Where the files of an image begin, as `imgtool build --keep-tree` writes it beside `root.erofs`
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,

    /// The index of an earlier file: chunks of it that are in the store are not compressed again
    #[arg(long, value_name = "INDEX")]
    known: Vec<PathBuf>,

    /// How hard to compress
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    compression: CompressionChoice,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    /// The object that is the index.
    index: ObjectId,
    /// Its size in bytes.
    index_bytes: u64,
    /// Size of the file.
    bytes: u64,
    /// Entries of the index.
    entries: u64,
    /// Of these, runs of zeros.
    zero_entries: u64,
    /// Bytes in runs of zeros.
    zero_bytes: u64,
    /// Chunks of a known index that were not compressed again.
    reused: u64,
    /// Bytes of all distinct chunks as stored.
    stored_bytes: u64,
    /// Objects that the store did not have.
    new_objects: u64,
    /// Their bytes.
    new_bytes: u64,
    /// Seconds until everything was cut, compressed and written.
    cut_seconds: f64,
    /// Seconds more until it was durable.
    durable_seconds: f64,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let start = Instant::now();
    let (file, size) = open(&args.file)?;
    let map = args.map.as_deref().map(read_map).transpose()?;
    let old = args.index.as_deref().map(read_if_there).transpose()?.flatten();
    let store = open_store(&args.store)?;
    let indexes: Vec<Index> = old
        .iter()
        .cloned()
        .map(Ok)
        .chain(args.known.iter().map(|path| read_index(path)))
        .collect::<Result<_, _>>()?;
    let known = chunks::known(&store, &indexes)?;

    let mut batch = store.batch().context("begin to store")?;
    let progress = context.ui.bytes("chunks", size);
    let tell = |bytes| progress.add(bytes);
    let chunking = Chunking {
        map: map.as_ref(),
        known: &known,
        compression: args.compression.into(),
        batch: &mut batch,
        progress: &tell,
    };
    let made = chunks::store(&file, size, chunking)
        .with_context(|| format!("cut {} into chunks", args.file.display()))?;
    let encoded = made.index.encode();
    let id = batch.put(&encoded).context("store the index")?.id;
    drop(progress);
    let cut_seconds = seconds(start);
    let counts = batch.commit().context("store the chunks")?;
    if let Some(out) = &args.index
        && old.as_ref() != Some(&made.index)
    {
        fsutil::write_atomic(out, &encoded, fsutil::PUBLIC)?;
    }
    let zeros = || made.index.entries().iter().filter(|entry| entry.is_zero());
    let report = Report {
        index: id,
        index_bytes: encoded.len() as u64,
        bytes: size,
        entries: made.index.entries().len() as u64,
        zero_entries: zeros().count() as u64,
        zero_bytes: zeros().map(|entry| u64::from(entry.plain_len)).sum(),
        reused: made.reused,
        stored_bytes: made.stored(),
        new_objects: counts.stored,
        new_bytes: counts.stored_bytes,
        cut_seconds,
        durable_seconds: seconds(start) - cut_seconds,
    };
    context.ui.show(&report, human)
}

/// The file with its size, which for a device is not in its metadata.
fn open(path: &Path) -> anyhow::Result<(File, u64)> {
    let mut file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let size = file.seek(SeekFrom::End(0)).with_context(|| format!("size of {}", path.display()))?;
    Ok((file, size))
}

/// A directory with anything in it is never made a store by mistake.
fn open_store(dir: &Path) -> anyhow::Result<Store> {
    let is_new = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(error).with_context(|| format!("read {}", dir.display())),
    };
    let opened = if is_new { Store::create(dir) } else { Store::open(dir) };
    opened.context("open the store")
}

fn read_map(path: &Path) -> anyhow::Result<FileMap> {
    FileMap::parse(&fsutil::read_limited(path, MAP_MAX)?).with_context(|| format!("read {}", path.display()))
}

fn read_index(path: &Path) -> anyhow::Result<Index> {
    Index::parse(&fsutil::read_limited(path, INDEX_MAX)?).with_context(|| format!("read {}", path.display()))
}

/// Something else than an index is not overwritten.
fn read_if_there(path: &Path) -> anyhow::Result<Option<Index>> {
    if path.symlink_metadata().is_ok() { read_index(path).map(Some) } else { Ok(None) }
}

/// Since `start`, in milliseconds' accuracy.
fn seconds(start: Instant) -> f64 {
    (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
}

fn human(report: &Report) -> String {
    let chunks = plural((report.entries - report.zero_entries) as usize, "chunk");
    table::properties(&[
        ("index", report.index.to_string()),
        ("file", format!("{}, {} of it zeros", bytes(report.bytes), bytes(report.zero_bytes))),
        ("chunks", format!("{chunks}, {} known", count(report.reused))),
        (
            "stored",
            format!("{} ({})", bytes(report.stored_bytes), percent(report.stored_bytes, report.bytes)),
        ),
        ("new", format!("{}, {}", plural(report.new_objects as usize, "object"), bytes(report.new_bytes))),
        ("time", format!("{:.2} s, durable after {:.2} s more", report.cut_seconds, report.durable_seconds)),
    ])
}

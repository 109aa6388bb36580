//! `imgtool export`: an image in the formats of others.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, bail};
use image_format::index::{INDEX_MAX, Index};
use image_format::repository::load_view;
use image_format::store::Store;
use image_format::{Manifest, ObjectId};
use serde::Serialize;

use crate::context::Context;
use crate::export::{Artifact, Caibx, Exists, LEVELS, Output, casync, raw, tar, zstd};
use crate::publish::read_index;
use crate::repo::Repo;
use crate::similar::hint;
use crate::stage::Built;
use crate::subject::Subject;
use crate::ui::size::{bytes, count, plural};
use crate::ui::style::{dim, strong};

const EXAMPLES: &str = "\
Examples:
  imgtool export ha@1 --format raw --out ha.erofs
  imgtool export ha@1 --format tar --out ha.tar             owners, devices and extended attributes too
  imgtool export ha@1 --format zstd --level 19 --out ha.erofs.zst
  imgtool export ha@1 --format casync --out /srv/bascule/casync
      casync extract http://HOST:7080/casync/ha@1.caibx ha.erofs
  imgtool export --index ID --format raw --out root.img     what `imgtool import` has brought";

/// Write the root file system of an image, or any index of the store, in the format of others
///
/// Every chunk is verified on the way. What is written appears whole under its name, or not at all.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The image, as signed or as built, or a manifest file
    #[arg(value_name = "ROLE@VERSION|FILE", value_parser = Subject::parse, required_unless_present = "index")]
    image: Option<Subject>,

    /// Any index of the store by its id, instead of an image
    #[arg(long, value_name = "ID", conflicts_with = "image")]
    index: Option<ObjectId>,

    /// The format
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Format,

    /// The file; with `casync` the directory for NAME.caibx and default.castr, or the .caibx file
    #[arg(long, value_name = "PATH")]
    out: PathBuf,

    /// Replace a file that is there
    #[arg(long)]
    force: bool,

    /// The store; the repository's own if not named
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    /// Compression level of `zstd`
    #[arg(long, value_name = "1-19", default_value_t = 9)]
    #[arg(value_parser = clap::value_parser!(i32).range(LEVELS))]
    level: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// The image, byte for byte
    Raw,
    /// The image as one zstd frame
    Zstd,
    /// The files of the image (POSIX pax)
    Tar,
    /// An index and a store of chunks for casync and desync
    Casync,
}

#[derive(Debug, Serialize)]
struct Report {
    name: String,
    format: Format,
    out: PathBuf,
    /// Of the image.
    bytes: u64,
    /// Of the file; with casync of the chunks that were new to its store.
    written_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    casync: Option<CasyncReport>,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct CasyncReport {
    index: PathBuf,
    store: PathBuf,
    chunks: u64,
    new_chunks: u64,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let (name, store, index) = find(args, context)?;
    let start = Instant::now();
    let what = || format!("export {name} to {}", args.out.display());
    let (written_bytes, casync) = {
        let progress = context.ui.bytes("exporting", index.plain_size());
        let artifact = Artifact { store: &store, index: &index, progress: &progress };
        write(args, &artifact, &name).with_context(what)?
    };
    let report = Report {
        out: args.out.clone(),
        format: args.format,
        bytes: index.plain_size(),
        written_bytes,
        casync,
        seconds: start.elapsed().as_secs_f64(),
        name,
    };
    context.ui.show(&report, text)
}

fn write(args: &Args, artifact: &Artifact<'_>, name: &str) -> anyhow::Result<(u64, Option<CasyncReport>)> {
    let exists = if args.force { Exists::Replace } else { Exists::Refuse };
    if args.format == Format::Casync {
        let to = Caibx::at(&args.out, name);
        let written = casync(artifact, &to, exists)?;
        let (chunks, new_chunks) = (written.chunks, written.new);
        let report = CasyncReport { index: to.path, store: to.castr, chunks, new_chunks };
        return Ok((written.new_bytes, Some(report)));
    }
    let output = Output::create(&args.out, exists)?;
    match args.format {
        Format::Raw => raw(artifact, &output)?,
        Format::Zstd => zstd(artifact, args.level, &output)?,
        Format::Tar => tar(artifact, &output)?,
        Format::Casync => unreachable!("returned above"),
    }
    let len = output.file().metadata().context("stat")?.len();
    output.commit()?;
    Ok((len, None))
}

/// What to export: its name, the store of its chunks, and these.
fn find(args: &Args, context: &Context) -> anyhow::Result<(String, Store, Index)> {
    let open = |dir: &PathBuf| Store::open(dir).with_context(|| format!("open store {}", dir.display()));
    let Some(subject) = &args.image else {
        let id = args.index.context("expected an image or --index ID")?;
        let store = args.store.as_ref().map_or_else(|| Repo::open(&context.repo)?.store(), open)?;
        let index = read(&store, id).with_context(|| format!("read the index {id}"))?;
        return Ok((id.to_string(), store, index));
    };
    let (store, manifest) = match &args.store {
        Some(dir) => {
            let store = open(dir)?;
            let manifest = in_store(subject, &store).with_context(|| dir.display().to_string())?;
            (store, manifest)
        }
        None => {
            let repo = Repo::open(&context.repo)?;
            let store = repo.store()?;
            let view = repo.view(&store)?;
            (store, subject.find(&repo, &view)?.manifest)
        }
    };
    let index = read_index(&store, &manifest)?;
    Ok((manifest.name.to_string(), store, index))
}

fn read(store: &Store, id: ObjectId) -> anyhow::Result<Index> {
    Ok(Index::parse(&store.read(id, INDEX_MAX)?)?)
}

/// The manifest of an image that another store's verified metadata lists.
fn in_store(subject: &Subject, store: &Store) -> anyhow::Result<Manifest> {
    let name = match subject {
        Subject::File(path) => return Ok(Built::read(path)?.manifest().clone()),
        Subject::Image(name) => name,
    };
    let view = load_view(store).context("load metadata")?.context("load metadata: there is none")?;
    match view.images.get(name) {
        Some((_, manifest)) => Ok(manifest.clone()),
        None => {
            let known = view.images.keys().map(ToString::to_string);
            bail!("unknown image {name}{}", hint(&name.to_string(), known))
        }
    }
}

fn text(report: &Report) -> String {
    let Report { name, out, bytes: size, seconds, .. } = report;
    let what = format!("Exported {} ({})", strong(name), bytes(*size));
    let seconds = dim(format!("{seconds:.1} s"));
    match &report.casync {
        None => format!("{what} to {}, {}  {seconds}\n", out.display(), bytes(report.written_bytes)),
        Some(casync) => {
            let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
            format!(
                "{what} to {} and {}: {}, {} new, {}  {seconds}\n",
                casync.index.display(),
                casync.store.display(),
                plural(number(casync.chunks), "chunk"),
                count(casync.new_chunks),
                bytes(report.written_bytes)
            )
        }
    }
}

//! `imgtool patch`: the way from one image to another in the fewest bytes.

use std::time::Instant;

use anyhow::bail;
use image_format::ImageName;
use serde::Serialize;

use crate::context::Context;
use crate::keys::KeyRole;
use crate::patch::{Effort, Made, Ways, make_patch, make_stream, sign};
use crate::publish::read_index;
use crate::repo::Repo;
use crate::stage::Signed;
use crate::ui::size::{bytes, percent};
use crate::ui::style::{dim, strong};

const EXAMPLES: &str = "\
Examples:
  imgtool patch ha@1 ha@2                    nodes that run ha@1 fetch less for ha@2
  imgtool patch ha@1 ha@2 --effort best      minutes instead of seconds, for many nodes
  imgtool patch ha@1 ha@2 --dry-run          only say how large it would be

`imgtool publish` does it by itself for the images that groups are pinned to.";

/// Make the patch from one image to another, and sign that nodes may use it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The image that nodes have
    #[arg(value_name = "FROM")]
    from: ImageName,

    /// The image that they shall get
    #[arg(value_name = "TO")]
    to: ImageName,

    /// Make the whole stream of TO as well, for nodes that have nothing
    #[arg(long)]
    stream: bool,

    /// How hard to compress
    #[arg(long, value_enum, default_value_t)]
    effort: Effort,

    /// Keep and sign nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    from: ImageName,
    to: ImageName,
    effort: Effort,
    /// What a node with FROM fetches of chunks without any patch, index included.
    chunk_bytes: u64,
    /// What it fetches with the patch: segments, chunks that are in none, table, index patch.
    patch_bytes: u64,
    /// What a node with nothing fetches by the whole stream: segments, table, index.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_bytes: Option<u64>,
    /// False with `--dry-run`.
    signed: bool,
    seconds: f64,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let start = Instant::now();
    if args.from == args.to {
        bail!("expected two images, found {} twice", args.from);
    }
    let repo = Repo::open(&context.repo)?;
    let store = repo.store()?;
    let view = repo.view(&store)?;
    let from = Signed::find(&view, &repo, &args.from)?;
    let to = Signed::find(&view, &repo, &args.to)?;
    if !args.dry_run && !repo.keys(&context.passphrases).can_sign(KeyRole::Releases, &repo.model(&store)?)? {
        bail!(
            "the releases key is not here, which signs patches; `--dry-run` only says how large they would be"
        );
    }
    let mut report = Report {
        from: args.from.clone(),
        to: args.to.clone(),
        effort: args.effort,
        chunk_bytes: 0,
        patch_bytes: 0,
        stream_bytes: None,
        signed: !args.dry_run,
        seconds: 0.0,
    };
    let _lease = store.lease()?;
    let mut batch = store.batch()?;
    let (patch, table) = make_patch(&store, &mut batch, (&from, &to), args.effort, &context.ui)?;
    let index = to.manifest().root.index.size;
    let ways = Ways::of(
        &read_index(&store, from.manifest())?,
        &read_index(&store, to.manifest())?,
        Some(&table),
        None,
    );
    report.chunk_bytes = ways.chunks + index;
    report.patch_bytes = ways.best + patch.table.size + patch.index.size;
    let mut stream = None;
    if args.stream {
        let whole = make_stream(&store, &mut batch, &to, args.effort, &context.ui)?;
        report.stream_bytes = Some(whole.bytes + whole.table.size + index);
        stream = Some(whole);
    }
    if !args.dry_run {
        batch.commit()?;
        sign(context, vec![Made { to, patches: vec![patch], stream }])?;
    }
    report.seconds = start.elapsed().as_secs_f64();
    context.ui.show(&report, text)
}

fn text(report: &Report) -> String {
    let Report { from, to, chunk_bytes, patch_bytes, .. } = report;
    let mut text = format!(
        "{} → {}  {} instead of {} ({})  {}\n",
        strong(from),
        strong(to),
        bytes(*patch_bytes),
        bytes(*chunk_bytes),
        percent(*patch_bytes, *chunk_bytes),
        dim(format!("{:.1} s", report.seconds))
    );
    if let Some(stream) = report.stream_bytes {
        text += &format!("whole stream of {}  {}\n", strong(to), bytes(stream));
    }
    text += if report.signed {
        "signed here only; `imgtool publish` brings it to a server\n"
    } else {
        "nothing was kept\n"
    };
    text
}

//! `imgtool import`: an artifact that casync or desync has cut comes into the local store.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use image_format::ObjectId;
use serde::Serialize;

use crate::casync::castr::{is_url, read_anywhere};
use crate::casync::index::CAIBX_MAX;
use crate::casync::{Castr, CasyncIndex};
use crate::chunks::ChunkStats;
use crate::context::Context;
use crate::import::import;
use crate::repo::Repo;
use crate::ui::size::{bytes, plural};
use crate::ui::style::strong;
use crate::ui::table::properties;

const EXAMPLES: &str = "\
Examples:
  imgtool import root.caibx                                   chunks in default.castr beside it
  imgtool import root.caibx --store /srv/chunks.castr
  imgtool import http://host/casync/root.caibx                chunks in http://host/casync/default.castr
  imgtool export --index ID --format raw --out root.img       the bytes back";

/// Bring an artifact that casync or desync has cut (.caibx and .castr) into the local store
///
/// Every chunk is checked, and the whole is cut anew by our own rules. The result is an index in the local store, for `imgtool
/// export --index`. No signed metadata names it, so `imgtool gc` removes it after its grace period.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The index, a file or a URL (http://)
    #[arg(value_name = "FILE|URL")]
    index: String,

    /// The store of its chunks, a directory or a URL [default: default.castr beside the index]
    #[arg(long, value_name = "CASTR|URL")]
    store: Option<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    from: String,
    store: String,
    /// The index, an object of the local store.
    index: ObjectId,
    /// Of the index object.
    index_bytes: u64,
    /// Of the artifact.
    size: u64,
    /// Chunks that casync had cut.
    casync_chunks: usize,
    chunks: ChunkStats,
    new_objects: u64,
    new_bytes: u64,
    seconds: f64,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let repo = Repo::open(&context.repo)?;
    let start = Instant::now();
    let what = || format!("import {}", args.index);
    let from = read_anywhere(&args.index, CAIBX_MAX).with_context(what)?;
    let from = CasyncIndex::parse(&from).with_context(what)?;
    let castr = Castr::open(&args.store.clone().unwrap_or_else(|| beside(&args.index))).with_context(what)?;
    let store = repo.store()?;
    let imported = {
        let progress = context.ui.bytes("importing", from.size());
        import(&store, &castr, &from, &progress).with_context(what)?
    };
    let report = Report {
        from: args.index.clone(),
        store: castr.name(),
        index: imported.object.id,
        index_bytes: imported.object.size,
        size: from.size(),
        casync_chunks: from.chunks().len(),
        chunks: ChunkStats::of(&imported.index),
        new_objects: imported.counts.stored,
        new_bytes: imported.counts.stored_bytes,
        seconds: start.elapsed().as_secs_f64(),
    };
    context.ui.show(&report, text)
}

/// As casync does: the store is beside the index.
fn beside(index: &str) -> String {
    const NAME: &str = "default.castr";
    match index.rsplit_once('/') {
        Some((base, _)) if is_url(index) => format!("{base}/{NAME}"),
        _ => Path::new(index).with_file_name(NAME).display().to_string(),
    }
}

fn text(report: &Report) -> String {
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let mut text = format!("Imported {} from {}\n", strong(bytes(report.size)), report.from);
    text += &properties(&[
        ("index", report.index.to_string()),
        (
            "chunks",
            format!(
                "{} there, {} here",
                plural(report.casync_chunks, "chunk"),
                plural(report.chunks.entries, "chunk")
            ),
        ),
        ("new", format!("{}, {}", plural(number(report.new_objects), "object"), bytes(report.new_bytes))),
    ]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_beside_the_index() {
        assert_eq!(beside("a.caibx"), "default.castr");
        assert_eq!(beside("/srv/x/a.caibx"), "/srv/x/default.castr");
        assert_eq!(beside("http://host/casync/a.caibx"), "http://host/casync/default.castr");
    }
}

//! `imgtool gc`: what nobody needs leaves a store.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use image_format::Manifest;
use image_format::repository::Collection;
use image_format::store::{Collected, Store};
use serde::Serialize;

use crate::context::Context;
use crate::period;
use crate::repo::Repo;
use crate::stage::Built;
use crate::ui::size::{bytes, count, plural};
use crate::ui::style::{bad, dim, strong};

const EXAMPLES: &str = "\
Examples:
  imgtool gc --dry-run                     what would go from this repository's store?
  imgtool gc                               builds that are not signed yet stay
  imgtool gc --to /srv/bascule             a server's data directory; the server may run";

/// Remove the objects of a store that no published image, patch or build needs
///
/// Needed is what the signed metadata names, and what it named within the grace period. Objects that were stored, or asked for by a
/// publisher, within the grace period stay as well, and so does everything that a running publisher relies on. Without metadata
/// that can be verified, nothing is removed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The store directory; the repository's own if not named
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,

    /// How long what is not needed any more stays: 90s, 15m, 24h, 7d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = period::parse)]
    grace: Duration,

    /// Remove nothing; say what would go
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    store: PathBuf,
    dry_run: bool,
    seconds: f64,
    #[serde(flatten)]
    collected: Collected,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let start = Instant::now();
    let (store, collected) = match &args.to {
        Some(dir) => {
            let store = Store::open(dir).with_context(|| format!("open store {}", dir.display()))?;
            let collected = collect(args, &store, &[])?;
            (store, collected)
        }
        None => {
            let repo = Repo::open(&context.repo)?;
            let _lock = repo.lock()?;
            let builds = Built::all(&repo)?;
            let store = repo.store()?;
            let collected = collect(args, &store, &builds)?;
            (store, collected)
        }
    };
    let report = Report {
        store: store.path().to_owned(),
        dry_run: args.dry_run,
        seconds: start.elapsed().as_secs_f64(),
        collected,
    };
    context.ui.show(&report, text)
}

fn collect(args: &Args, store: &Store, keep: &[Manifest]) -> anyhow::Result<Collected> {
    let collection = Collection { grace: args.grace, keep, dry_run: args.dry_run };
    collection.run(store).with_context(|| format!("collect in {}", store.path().display()))
}

fn text(report: &Report) -> String {
    let Report { collected, dry_run, .. } = report;
    let objects = plural(collected.removed_objects as usize, "object");
    let freed = match u64::try_from(collected.freed_bytes) {
        Ok(freed) => format!("{} freed", bytes(freed)),
        // Many small packs in one; the old ones may still be too young.
        Err(_) => format!("{} more", bytes(collected.freed_bytes.unsigned_abs())),
    };
    let verb = if *dry_run { "would be removed" } else { "removed" };
    let mut text = format!("{} {objects} {verb}, {freed}\n", strong(report.store.display()));
    let mut line = |line: String| text += &format!("  {}\n", dim(line));
    line(format!("{} needed", plural(collected.referenced as usize, "object")));
    if collected.young > 0 {
        line(format!("{} not needed and too young to go", count(collected.young)));
    }
    if collected.leases > 0 {
        line(format!("{} at work: what they rely on stays", plural(collected.leases as usize, "publisher")));
    }
    if collected.new_packs > 0 {
        let (old, new) = (collected.removed_packs, collected.new_packs);
        line(format!(
            "{} old packs and {} files, {} new packs",
            count(old),
            count(collected.removed_files),
            count(new)
        ));
    }
    for (number, what) in [
        (collected.missing, "needed objects are missing: `imgtool verify --all` names them"),
        (
            collected.postponed_packs,
            "packs are to be written again, and the disk is full: run this once more",
        ),
        (collected.damaged_packs, "packs hold damaged objects and were left alone: `imgtool scrub` repairs"),
    ] {
        if number > 0 {
            text += &format!("  {} {} {what}\n", bad("✗"), count(number));
        }
    }
    text
}

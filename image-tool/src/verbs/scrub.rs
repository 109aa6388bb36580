//! `imgtool scrub`: is what a store holds still what was stored?

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, bail};
use image_format::manifest::ObjectRef;
use image_format::repository::lacking;
use image_format::store::Store;
use image_format::store::scrub::{Scrub, Scrubbed};
use image_format::{Manifest, ObjectId};
use serde::Serialize;

use crate::context::Context;
use crate::repo::Repo;
use crate::source::Source;
use crate::stage::Built;
use crate::ui::size::{bytes, count, plural};
use crate::ui::style::{bad, dim, good, strong};

const EXAMPLES: &str = "\
Examples:
  imgtool scrub                                           this repository's store
  imgtool scrub --repair-from http://boot.example:7080    damaged and missing objects come from there
  imgtool scrub --to /srv/bascule --repair-from bascule/store
  imgtool scrub --check                                   only say what is damaged";

/// Bytes read between two looks at the progress bar.
const STEP: u64 = 8 << 20;

/// Largest object that is fetched when only its id is known.
const UNKNOWN_MAX: u64 = 1 << 30;

/// Bytes of fetched objects that are made durable together.
const BATCH: u64 = 64 << 20;

/// Objects named in text; `--json` has more.
const SHOWN: usize = 20;

/// Read every object of a store and compare it with its digest
///
/// A damaged object is moved to quarantine/ in the store, so that nobody is served wrong bytes; the quarantine may be emptied at any
/// time. With --repair-from, what is damaged, and what published images and builds need and is missing, is fetched again. Ends with
/// an error if something stays damaged or missing.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The store directory; the repository's own if not named. A server may run beside
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,

    /// A store directory or server (http://HOST:7080) that has good copies
    #[arg(long, value_name = "DIR|URL", conflicts_with = "check")]
    repair_from: Option<String>,

    /// Change nothing
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    store: PathBuf,
    seconds: f64,
    #[serde(flatten)]
    scrubbed: Scrubbed,
    /// Objects that were missing, and were fetched.
    fetched: u64,
    /// Objects that are needed and not there, after everything.
    missing: Vec<ObjectId>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let start = Instant::now();
    let (store, builds) = open(args, context)?;
    let what = || format!("scrub {}", store.path().display());
    let source = args.repair_from.as_deref().map(Source::open).transpose()?;
    let scrubbed = pass(&store, args.check, source.as_ref(), context).with_context(what)?;
    let mut missing = lacking(&store, &builds).with_context(what)?;
    let mut fetched = 0;
    if let Some(source) = &source {
        // A table or index that is there again tells of more.
        while let more @ 1.. = fetch(&store, source, &missing).with_context(what)? {
            fetched += more;
            missing = lacking(&store, &builds).with_context(what)?;
        }
    }
    let report = Report {
        store: store.path().to_owned(),
        seconds: start.elapsed().as_secs_f64(),
        scrubbed,
        fetched,
        missing: missing.into_iter().map(|object| object.id).collect(),
    };
    context.ui.show(&report, text)?;
    refuse(&report, args.check)
}

fn open(args: &Args, context: &Context) -> anyhow::Result<(Store, Vec<Manifest>)> {
    match &args.to {
        Some(dir) => {
            let store = Store::open(dir).with_context(|| format!("open store {}", dir.display()))?;
            Ok((store, Vec::new()))
        }
        None => {
            let repo = Repo::open(&context.repo)?;
            Ok((repo.store()?, Built::all(&repo)?))
        }
    }
}

fn pass(store: &Store, check: bool, source: Option<&Source>, context: &Context) -> anyhow::Result<Scrubbed> {
    let mut scrub = if check { Scrub::check_only(store)? } else { Scrub::new(store)? };
    let mut repair = |id: ObjectId, size: Option<u64>| {
        let bytes = source?.object(id, size.unwrap_or(UNKNOWN_MAX));
        bytes.map_err(|error| context.ui.warn(&format!("{error:#}"))).ok()
    };
    let total = store.bytes()?;
    let progress = context.ui.bytes("scrub", total);
    loop {
        let before = scrub.report().bytes;
        let over = scrub.step(STEP, &mut repair)?;
        progress.add(scrub.report().bytes - before);
        if over {
            return Ok(scrub.report().clone());
        }
    }
}

/// Fetches what the source has of these objects; returns how many.
fn fetch(store: &Store, source: &Source, missing: &[ObjectRef]) -> anyhow::Result<u64> {
    let (mut batch, mut waiting, mut fetched) = (store.batch()?, 0, 0);
    for object in missing {
        // What it does not have is still missing afterwards, and named.
        let Ok(bytes) = source.object(object.id, object.size) else { continue };
        if ObjectId::of(&bytes) != object.id {
            continue;
        }
        waiting += bytes.len() as u64;
        fetched += u64::from(batch.put_hashed(object.id, &bytes)?.new);
        if waiting >= BATCH {
            std::mem::replace(&mut batch, store.batch()?).commit()?;
            waiting = 0;
        }
    }
    batch.commit()?;
    Ok(fetched)
}

fn refuse(report: &Report, check: bool) -> anyhow::Result<()> {
    let Scrubbed { damaged, bad_packs, .. } = &report.scrubbed;
    let missing = report.missing.len();
    if check && (*damaged > 0 || *bad_packs > 0) {
        bail!("{}: {} damaged", report.store.display(), plural((damaged + bad_packs) as usize, "object"));
    }
    if missing > 0 {
        let named = report.missing.first().map(ToString::to_string).unwrap_or_default();
        bail!("{}: {} missing, {named} among them", report.store.display(), plural(missing, "needed object"));
    }
    // What was damaged and nobody needs is no loss.
    Ok(())
}

fn text(report: &Report) -> String {
    let Report { scrubbed, fetched, missing, seconds, .. } = report;
    let sound = scrubbed.damaged == 0 && scrubbed.bad_packs == 0 && missing.is_empty();
    let verdict = if sound { good("is sound") } else { bad("has damage") };
    let speed = bytes((scrubbed.bytes as f64 / seconds.max(0.001)) as u64);
    let read =
        format!("{} objects, {}, {seconds:.1} s ({speed}/s)", count(scrubbed.objects), bytes(scrubbed.bytes));
    let mut text = format!("{} {verdict}  {}\n", strong(report.store.display()), dim(read));
    for (number, what) in [
        (scrubbed.damaged, "damaged"),
        (scrubbed.bad_packs, "damaged tables of packs"),
        (scrubbed.quarantined, "files moved to quarantine/"),
        (scrubbed.repaired, "repaired"),
        (*fetched, "missing and fetched"),
        (missing.len() as u64, "needed and missing"),
    ] {
        if number > 0 {
            text += &format!("  {} {what}\n", count(number));
        }
    }
    for (ids, what) in [(&scrubbed.named, "damaged"), (missing, "missing")] {
        for id in ids.iter().take(SHOWN) {
            text += &format!("  {} {what} {id}\n", bad("✗"));
        }
    }
    text
}

//! `imgtool verify`: is every byte of an image in a store what was signed?

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, bail};
use image_format::repository::{View, load_view};
use image_format::store::Store;
use image_format::{ImageName, Sha256};
use serde::Serialize;

use crate::context::Context;
use crate::repo::Repo;
use crate::similar::hint;
use crate::ui::size::{bytes, count, plural};
use crate::ui::style::{bad, dim, good, strong};
use crate::verify::{Problem, Verified, verify, verify_patches};

const EXAMPLES: &str = "\
Examples:
  imgtool verify ha@1
  imgtool verify ha@1 --store /srv/bascule        a server's data directory
  imgtool verify --all";

/// Problems shown; the rest is counted. `--json` has all.
const SHOWN: usize = 20;

/// Problems named in the error.
const NAMED: usize = 3;

/// Re-read every object of an image in a store and compare with what was signed
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The images
    #[arg(value_name = "ROLE@VERSION", required_unless_present = "all")]
    images: Vec<ImageName>,

    /// All images that the store's metadata lists
    #[arg(long, conflicts_with = "images")]
    all: bool,

    /// The store; the repository's own if not named
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Row {
    image: ImageName,
    manifest: Sha256,
    ok: bool,
    seconds: f64,
    root_bytes: u64,
    #[serde(flatten)]
    verified: Verified,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let (store, view) = open(args, context)?;
    let names = if args.all { view.images.keys().cloned().collect() } else { args.images.clone() };
    let mut rows = Vec::new();
    for name in names {
        let Some((digest, manifest)) = view.images.get(&name) else {
            bail!(
                "{}: unknown image {name}{}",
                store.path().display(),
                hint(&name.to_string(), view.images.keys().map(ToString::to_string))
            );
        };
        let start = Instant::now();
        let mut verified = {
            let progress = context.ui.bytes(&name.to_string(), manifest.root.size);
            verify(&store, manifest, &progress).with_context(|| format!("verify {name}"))?
        };
        if let Some(patches) = view.patches.get(&name) {
            verify_patches(&store, patches, &mut verified);
        }
        rows.push(Row {
            image: name,
            manifest: *digest,
            ok: verified.problems.is_empty(),
            seconds: start.elapsed().as_secs_f64(),
            root_bytes: manifest.root.size,
            verified,
        });
    }
    context.ui.show(&rows, |rows| rows.iter().map(text).collect())?;
    refuse(&rows, &store)
}

/// The verdict as an exit status, with the first problems by name for whoever sees only this.
fn refuse(rows: &[Row], store: &Store) -> anyhow::Result<()> {
    let named = |row: &Row| {
        let image = row.image.clone();
        row.verified
            .problems
            .iter()
            .map(move |problem| format!("{image}: {}", problem_text(problem)))
            .collect::<Vec<_>>()
    };
    let problems: Vec<String> = rows.iter().flat_map(named).collect();
    if problems.is_empty() {
        return Ok(());
    }
    let more =
        if problems.len() > NAMED { format!("; and {} more", problems.len() - NAMED) } else { String::new() };
    bail!(
        "{}: {} not as signed: {}{more}",
        store.path().display(),
        plural(problems.len(), "object"),
        problems[..problems.len().min(NAMED)].join("; ")
    )
}

fn problem_text(problem: &Problem) -> String {
    format!("{}: object {}: {}", problem.what, problem.object, problem.error)
}

/// The store to read, and what its verified metadata says. If there is a repository too, both must agree on the images.
fn open(args: &Args, context: &Context) -> anyhow::Result<(Store, View)> {
    let Some(dir) = &args.store else {
        let repo = Repo::open(&context.repo)?;
        let store = repo.store()?;
        let view = repo.view(&store)?;
        return Ok((store, view));
    };
    let store = Store::open(dir).with_context(|| format!("open store {}", dir.display()))?;
    let what = || format!("load metadata of {}", dir.display());
    let view = load_view(&store).with_context(what)?.with_context(|| format!("{}: there is none", what()))?;
    let Ok(repo) = Repo::open(&context.repo) else { return Ok((store, view)) };
    let here = repo.view(&repo.store()?)?;
    for (name, (found, _)) in &view.images {
        if let Some((expected, _)) = here.images.get(name).filter(|(expected, _)| expected != found) {
            bail!("{}: {name}: expected manifest {expected} as signed here, found {found}", dir.display());
        }
    }
    Ok((store, view))
}

fn text(row: &Row) -> String {
    let Row { image, verified, .. } = row;
    let seconds = row.seconds.max(0.001);
    let speed = bytes((row.root_bytes as f64 / seconds) as u64);
    let state = if row.ok { good("as signed") } else { bad("NOT as signed") };
    let mut text = format!(
        "{} {state}  {}\n",
        strong(image),
        dim(format!(
            "{} chunks, {} stored, {} of root, {:.1} s ({speed}/s)",
            count(verified.chunks),
            bytes(verified.stored_bytes),
            bytes(row.root_bytes),
            row.seconds
        ))
    );
    for problem in verified.problems.iter().take(SHOWN) {
        text += &format!("  {} {}\n", bad("✗"), problem_text(problem));
    }
    if let hidden @ 1.. = verified.problems.len().saturating_sub(SHOWN) {
        text += &format!("  {} … and {} more (--json has all)\n", bad("✗"), count(hidden as u64));
    }
    if verified.verity.is_none() {
        text +=
            &format!("  {} the verity root was not compared: the root file system is not whole\n", dim("·"));
    }
    text
}

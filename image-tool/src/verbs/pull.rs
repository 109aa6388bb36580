//! `imgtool pull`: what somebody else signed comes into the local store.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use image_format::ImageName;
use image_format::repository::{Repository, load_view};
use image_format::store::Store;
use serde::Serialize;
use signing::TrustedFiles;
use signing::limits::ROOT_MAX_LEN;

use crate::clock;
use crate::context::Context;
use crate::fsutil::read_limited;
use crate::pending::{self, Standing};
use crate::pull::{fetch, fetch_objects, fetch_patches, replace, trusted};
use crate::repo::Repo;
use crate::source::Source;
use crate::ui::size::plural;
use crate::ui::style::strong;

const EXAMPLES: &str = "\
Examples:
  imgtool pull                                    from the `remote` of bascule.toml
  imgtool pull --from http://boot.example:7080    a server's delivery listener
  imgtool pull --from /srv/bascule                a store directory
  imgtool pull --from /srv/bascule --discard      give up what was signed here and nowhere else";

/// Bring newer signed metadata, and the images that it lists, into the local store
///
/// Needed when another admin, or another copy of this repository, has published in between.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Server (either listener: http://HOST:7080, http://HOST:7081) or store directory [default: `remote` of bascule.toml]
    #[arg(long, value_name = "URL|DIR")]
    from: Option<String>,

    /// Take their metadata even where this repository has signed the same versions differently, or more of them. What was
    /// signed only here is given up; its builds stay and can be signed again
    #[arg(long)]
    discard: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    from: String,
    /// False if this repository had everything.
    changed: bool,
    new_images: Vec<ImageName>,
    new_objects: u64,
    new_bytes: u64,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let repo = Repo::open(&context.repo)?;
    let source = open(args, &repo)?;
    let _lock = repo.lock()?;
    let store = repo.store()?;
    let now = clock::now()?;
    let waiting = repo.pending_as_kept()?;
    let (trusted, known) = start(&repo, &store, args.discard)?;
    let fetched = fetch(trusted, &store, &known, &source, now);
    let fetched = fetched.with_context(|| format!("pull from {}", source.name()))?;
    let standing = waiting.standing(|role| fetched.roles.get(role).copied());
    if standing == Standing::Stale && !args.discard {
        bail!(
            "{} has metadata that the changes signed here do not follow; `imgtool pull --discard` takes theirs and gives up what was signed only here",
            source.name()
        );
    }
    let mut report = Report {
        from: source.name(),
        changed: false,
        new_images: fetched.images.keys().cloned().collect(),
        new_objects: 0,
        new_bytes: 0,
    };
    for (name, manifest) in &fetched.images {
        let progress = context.ui.spinner(&format!("fetching {name}"));
        let (objects, bytes) = fetch_objects(&store, &source, manifest, &progress)
            .with_context(|| format!("fetch the objects of {name}"))?;
        report.new_objects += objects;
        report.new_bytes += bytes;
    }
    for patches in &fetched.patches {
        let progress = context.ui.spinner(&format!("fetching patches to {}", patches.image));
        let (objects, bytes) = fetch_patches(&store, &source, patches, &progress)
            .with_context(|| format!("fetch the patches to {}", patches.image))?;
        report.new_objects += objects;
        report.new_bytes += bytes;
    }
    report.changed = if args.discard {
        replace(&repo, &store, fetched.upload, now)?
    } else {
        Repository::open(&store).commit(fetched.upload, now).context("commit to the local store")?.changed
    };
    if args.discard || standing == Standing::Settled {
        report.changed |= args.discard && !waiting.is_empty();
        pending::clear(&repo.pending_dir())?;
    }
    context.ui.show(&report, text)
}

fn open(args: &Args, repo: &Repo) -> anyhow::Result<Source> {
    match args.from.as_ref().or(repo.config().remote.as_ref()) {
        Some(from) => Source::open(from),
        None => bail!(
            "no place to pull from is known: name a server or a store directory with --from, or set `remote` in bascule.toml"
        ),
    }
}

/// What to start from: all that this repository trusts and the images that it has, or only the root that it was made with.
fn start(repo: &Repo, store: &Store, discard: bool) -> anyhow::Result<(TrustedFiles, BTreeSet<ImageName>)> {
    if discard {
        let root = read_limited(&repo.root_json(), ROOT_MAX_LEN)?;
        return Ok((TrustedFiles::from_root(root), BTreeSet::new()));
    }
    let known = load_view(store).context("read signed metadata")?;
    Ok((trusted(repo, store)?, known.map(|view| view.images.into_keys().collect()).unwrap_or_default()))
}

fn text(report: &Report) -> String {
    if !report.changed {
        return format!("Nothing new at {}\n", report.from);
    }
    let names: Vec<String> = report.new_images.iter().map(|name| strong(name).clone()).collect();
    let objects = usize::try_from(report.new_objects).unwrap_or(usize::MAX);
    let images = if names.is_empty() { "no new image".to_owned() } else { names.join(", ") };
    format!("Pulled from {}: {images}, {}\n", report.from, plural(objects, "new object"))
}

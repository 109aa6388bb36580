//! `imgtool list`: all images, how far each has come, and who runs it.

use std::collections::BTreeMap;

use image_format::repository::View;
use image_format::store::Store;
use image_format::{Group, ImageName, Manifest, Sha256};
use serde::Serialize;

use crate::clock;
use crate::context::Context;
use crate::date::day;
use crate::destination::To;
use crate::expiry;
use crate::publish::{is_listed, read_index};
use crate::repo::Repo;
use crate::stage::Built;
use crate::subject::Stage;
use crate::ui::size::{bytes, count};
use crate::ui::style::{dim, good, strong, warn};
use crate::ui::table::Table;

const EXAMPLES: &str = "\
Examples:
  imgtool list
  imgtool list ha
  imgtool list --json | jq -r '.[] | select(.published) | .image'";

/// List images: versions, sizes, signed, published, pinned by which groups
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, visible_alias = "ls")]
pub(crate) struct Args {
    /// Only images of this role
    role: Option<image_format::Role>,

    /// Do not ask the server what is published
    #[arg(long)]
    offline: bool,

    #[command(flatten)]
    to: To,
}

#[derive(Debug, Serialize)]
struct Row {
    image: ImageName,
    counter: u64,
    /// Seconds since 1970 of the newest file.
    epoch: i64,
    stage: Stage,
    /// None: nobody was asked, or there was no answer.
    published: Option<bool>,
    /// Groups whose pin names this very image.
    pinned_by: Vec<Group>,
    manifest: Sha256,
    /// Size of the root file system in bytes.
    root_bytes: u64,
    /// Distinct chunks, and their stored bytes; none if the index cannot be read.
    chunks: Option<u64>,
    stored_bytes: Option<u64>,
    arch: String,
    kernel: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let repo = Repo::open(&context.repo)?;
    let store = repo.store()?;
    let view = repo.view(&store)?;
    let published = if args.offline { None } else { published(args, &repo, context) };
    let mut rows = Vec::new();
    for (digest, manifest, stage) in images(&repo, &view)? {
        if args.role.as_ref().is_none_or(|role| manifest.name.role == *role) {
            let published = published.as_ref().map(|files| is_listed(files, &manifest.name, &digest));
            rows.push(row(&store, &view, digest, &manifest, stage, published));
        }
    }
    rows.sort_by(|a, b| (&a.image.role, a.counter, &a.image).cmp(&(&b.image.role, b.counter, &b.image)));
    context.ui.show(&rows, |rows| text(rows))?;
    let completes = repo.keys(&context.passphrases).completes(&repo.model(&store)?)?;
    expiry::warn(&context.ui, &view, completes, clock::now()?);
    Ok(())
}

/// The files at the remote. No answer is no error here: what is local can be listed all the same.
fn published(args: &Args, repo: &Repo, context: &Context) -> Option<Vec<String>> {
    let asked = args.to.open(repo).and_then(|destination| destination.map(|there| there.names()).transpose());
    match asked {
        Ok(names) => names.map(|names| names.targets),
        Err(error) => {
            context.ui.warn(&format!("what is published is not known: {error:#}"));
            None
        }
    }
}

/// Signed images, and builds that are not signed or differ from what is.
fn images(repo: &Repo, view: &View) -> anyhow::Result<Vec<(Sha256, Manifest, Stage)>> {
    let signed = |(digest, manifest): &(Sha256, Manifest)| (*digest, manifest.clone(), Stage::Signed);
    let mut images: Vec<_> = view.images.values().map(signed).collect();
    for name in repo.builds()? {
        let built = Built::read(&repo.build_dir(&name).join("manifest.json"))?;
        if view.images.get(&name).is_none_or(|(digest, _)| *digest != built.digest()) {
            images.push((built.digest(), built.manifest().clone(), Stage::Built));
        }
    }
    Ok(images)
}

fn row(
    store: &Store,
    view: &View,
    digest: Sha256,
    manifest: &Manifest,
    stage: Stage,
    published: Option<bool>,
) -> Row {
    let pins: &BTreeMap<Group, image_format::pin::Pin> = &view.pins;
    let pinned = pins.iter().filter(|(_, pin)| pin.stable.manifest == digest).map(|(group, _)| group.clone());
    let index = read_index(store, manifest).ok();
    let totals = index.map(|index| {
        index
            .objects()
            .fold((0, 0), |(chunks, bytes), entry| (chunks + 1, bytes + u64::from(entry.stored_len)))
    });
    Row {
        image: manifest.name.clone(),
        counter: manifest.counter,
        epoch: manifest.epoch,
        stage,
        published,
        pinned_by: pinned.collect(),
        manifest: digest,
        root_bytes: manifest.root.size,
        chunks: totals.map(|(chunks, _)| chunks),
        stored_bytes: totals.map(|(_, bytes)| bytes),
        arch: manifest.arch.clone(),
        kernel: manifest.kernel.release.clone(),
    }
}

fn text(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "No images yet: imgtool build ROLE\n".to_owned();
    }
    let mut table =
        Table::new(["IMAGE", ">COUNTER", "DATE", ">ROOT", ">CHUNKS", ">STORED", "STATE", "PINNED BY"]);
    for row in rows {
        let groups: Vec<&str> = row.pinned_by.iter().map(Group::as_str).collect();
        let state = match (row.stage, row.published) {
            (Stage::Signed, Some(true)) => good("published"),
            (Stage::Signed, _) => "signed".to_owned(),
            (Stage::Built | Stage::File, _) => warn("built"),
        };
        let missing = || dim("missing");
        table.row([
            strong(&row.image),
            row.counter.to_string(),
            day(row.epoch),
            bytes(row.root_bytes),
            row.chunks.map_or_else(missing, count),
            row.stored_bytes.map_or_else(missing, bytes),
            state,
            groups.join(", "),
        ]);
    }
    table.render()
}

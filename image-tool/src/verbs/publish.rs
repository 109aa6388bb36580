//! `imgtool publish`: signed images and metadata to a server or a store directory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Context as _, bail};
use fleet_protocol::Names;
use image_format::store::Store;
use image_format::{ImageName, ObjectId, Sha256};
use serde::Serialize;

use crate::change::refuse_incomplete;
use crate::clock;
use crate::context::Context;
use crate::destination::{Destination, To};
use crate::expiry;
use crate::keys::KeyRole;
use crate::patch::{self, Effort, Wanted};
use crate::publish::{Current, Plan, objects_of, objects_of_patches, upload};
use crate::pull::take_over;
use crate::repo::Repo;
use crate::stage::Signed;
use crate::ui::size::{bytes, count, plural};
use crate::ui::style::{dim, good, strong};

const EXAMPLES: &str = "\
Examples:
  imgtool publish                      everything that is signed, to the `remote` of bascule.toml
  imgtool publish ha@2 --to http://boot.example:7081 --token-file admin.token
  imgtool publish --to /srv/bascule    straight into a store directory

Only what is missing is sent. A publish that was interrupted is continued by running it again.";

/// Bring signed images to a server or into a store directory
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The images; all that are signed if none is named
    #[arg(value_name = "ROLE@VERSION")]
    images: Vec<ImageName>,

    /// All images that are signed (the default)
    #[arg(long, conflicts_with = "images")]
    all: bool,

    /// Make no patches for the images that groups run now
    #[arg(long)]
    no_patches: bool,

    /// How hard to compress patches; `best` also makes the whole stream of each image, for nodes that have nothing
    #[arg(long, value_enum, default_value_t, conflicts_with = "no_patches")]
    effort: Effort,

    #[command(flatten)]
    to: To,
}

#[derive(Debug, Serialize)]
struct Report {
    destination: String,
    images: Vec<Row>,
    /// Images to which patches were made now.
    new_patches: Vec<ImageName>,
    /// Objects that the images have, each once.
    objects: usize,
    /// Of these, sent now.
    sent_objects: usize,
    /// Stored bytes sent now.
    sent_bytes: u64,
    /// Metadata and target files sent now.
    sent_files: usize,
    /// False if everything was there.
    changed: bool,
    seconds: f64,
}

/// An image that is current at the destination.
#[derive(Debug, Serialize)]
struct Row {
    image: ImageName,
    manifest: Sha256,
    /// False if it was published before.
    new: bool,
}

impl Args {
    /// Whether whole streams are made.
    fn stream(&self) -> bool {
        self.effort == Effort::Best
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let start = Instant::now();
    let repo = Repo::open(&context.repo)?;
    let destination = args.to.open(&repo)?.context(
        "no destination is known: name one with --to URL or --to DIR, or set `remote` in bascule.toml",
    )?;
    let destination = destination.as_ref();
    let store = repo.store()?;
    let keys = repo.keys(&context.passphrases);
    let look = || -> anyhow::Result<_> {
        let _lock = repo.lock()?;
        let view = repo.view(&store)?;
        let model = repo.model(&store)?;
        let completes = keys.completes(&model)?;
        let signs = keys.can_sign(KeyRole::Releases, &model)?;
        Ok((Current::load(&repo, &store, &view)?, view, completes, signs))
    };
    let (current, view, completes, signs) = look()?;
    expiry::warn(&context.ui, &view, completes, clock::now()?);
    let images = selected(args, &repo, &view)?;
    let there = destination.names()?;
    refuse_incomplete(completes, &there, destination.name())?;
    // Before minutes are spent on patches: everything that could be refused.
    let mut plan = Plan::make(&current, &there, destination.name())?;
    refuse_unnamed(&plan, &images, args)?;
    let new_patches = patch(args, context, &store, patch::wanted(&view, &images, args.stream()), signs)?;
    let mut view = view;
    if !new_patches.is_empty() {
        let (current, now, ..) = look()?;
        plan = Plan::make(&current, &there, destination.name())?;
        refuse_unnamed(&plan, &images, args)?;
        view = now;
    }

    let mut objects = BTreeMap::new();
    for image in &images {
        objects.extend(objects_of(&store, image.manifest())?.into_iter().map(|object| (object.id, object)));
    }
    for (name, patches) in &view.patches {
        if plan.new_patches.contains(name) || images.iter().any(|image| image.name() == name) {
            let all = objects_of_patches(&store, patches)?;
            objects.extend(all.into_iter().map(|object| (object.id, object)));
        }
    }
    let ids: Vec<ObjectId> = objects.keys().copied().collect();
    let missing =
        destination.missing(&ids).with_context(|| format!("ask {} what it has", destination.name()))?;
    let missing: BTreeSet<ObjectId> = missing.into_iter().collect();
    let missing: Vec<_> = missing.iter().filter_map(|id| objects.get(id)).copied().collect();
    let sent_bytes = missing.iter().map(|object| object.size).sum();
    if !missing.is_empty() {
        upload(&store, destination, &missing, &context.ui.bytes("publishing", sent_bytes))?;
    }
    let is_current = plan.is_current;
    let sent_files = if is_current { 0 } else { plan.upload.metadata.len() + plan.upload.targets.len() };
    commit(destination, &plan, &there)?;
    if there.online {
        let _lock = repo.lock()?;
        let taken = take_over(&repo, &store, destination, &plan.upload);
        taken.with_context(|| format!("published to {}, but not taken over", destination.name()))?;
    }
    let row = |image: &Signed| Row {
        image: image.name().clone(),
        manifest: image.digest(),
        new: plan.new_images.contains(image.name()),
    };
    let report = Report {
        destination: destination.name().to_owned(),
        images: images.iter().map(row).collect(),
        new_patches,
        objects: objects.len(),
        sent_objects: missing.len(),
        sent_bytes,
        sent_files,
        changed: !is_current || !missing.is_empty(),
        seconds: start.elapsed().as_secs_f64(),
    };
    context.ui.show(&report, text)
}

/// Makes the patches that are wanted and signs them here; the images to which there are some now. What cannot be made is said, and
/// hinders nothing: nodes fetch chunks then.
fn patch(
    args: &Args,
    context: &Context,
    store: &Store,
    wanted: Vec<Wanted>,
    signs: bool,
) -> anyhow::Result<Vec<ImageName>> {
    if args.no_patches || wanted.is_empty() {
        return Ok(Vec::new());
    }
    if !signs {
        let names: Vec<String> = wanted.iter().map(Wanted::words).collect();
        context.ui.note(&format!(
            "no patches were made ({}): the releases key, which signs them, is not here",
            names.join("; ")
        ));
        return Ok(Vec::new());
    }
    let _lease = store.lease().context("begin to make patches")?;
    let mut made = Vec::new();
    for wanted in wanted {
        let words = wanted.words();
        match patch::make(store, wanted, args.effort, &context.ui) {
            Ok(new) => made.push(new),
            Err(error) => context.ui.warn(&format!("no patches were made ({words}): {error:#}")),
        }
    }
    let names: Vec<ImageName> = made.iter().map(|made| made.image().clone()).collect();
    if !made.is_empty() {
        patch::sign(context, made).context("sign the patches")?;
    }
    Ok(names)
}

/// The commit is sent even if nothing seems new: see [`Plan::upload`]. The server that signs by itself says what it has.
fn commit(destination: &dyn Destination, plan: &Plan, there: &Names) -> anyhow::Result<()> {
    if there.online && plan.is_current {
        return Ok(());
    }
    let advice =
        "the objects are there, the metadata was not taken; it can be tried again by the same command";
    destination.commit(&plan.upload).map_err(anyhow::Error::from).context(advice)
}

fn selected(args: &Args, repo: &Repo, view: &image_format::repository::View) -> anyhow::Result<Vec<Signed>> {
    if args.images.is_empty() {
        return Ok(Signed::all(view));
    }
    args.images.iter().map(|name| Signed::find(view, repo, name)).collect()
}

/// The metadata is one whole: it cannot be published while it lists an image whose objects are not to be sent.
fn refuse_unnamed(plan: &Plan, images: &[Signed], args: &Args) -> anyhow::Result<()> {
    let named: BTreeSet<&ImageName> = images.iter().map(Signed::name).collect();
    let unnamed: Vec<String> =
        plan.new_images.iter().filter(|name| !named.contains(name)).map(ToString::to_string).collect();
    if unnamed.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = args.images.iter().map(ToString::to_string).collect();
    bail!(
        "{} would be published too, because the signed metadata lists it; publish all with `imgtool publish`, or name it: imgtool publish {} {}",
        unnamed.join(", "),
        named.join(" "),
        unnamed.join(" ")
    )
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for row in &report.images {
        let state = if row.new { good("published") } else { dim("was published already") };
        text += &format!(
            "{} {state}  {}\n",
            strong(&row.image),
            dim(format!("manifest {}", row.manifest.short()))
        );
    }
    for image in &report.new_patches {
        text += &format!("{} {}\n", strong(image), good("has new patches"));
    }
    let (objects, seconds) = (plural(report.objects, "object"), report.seconds);
    text += &if report.changed {
        format!(
            "Published to {} in {seconds:.1} s: {} sent ({}) of {objects}\n",
            report.destination,
            count(report.sent_objects as u64),
            bytes(report.sent_bytes)
        )
    } else {
        format!("Nothing new for {} ({objects} there, {seconds:.1} s)\n", report.destination)
    };
    text
}

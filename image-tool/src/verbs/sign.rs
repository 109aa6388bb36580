//! `imgtool sign`: a build becomes a release.

use anyhow::bail;
use image_format::repository::TargetKind;
use image_format::{ImageName, Manifest, Sha256};
use serde::Serialize;

use crate::change::Change;
use crate::context::Context;
use crate::stage::Built;
use crate::ui::style::{dim, good, strong};

const EXAMPLES: &str = "\
Examples:
  imgtool sign ha@1
  imgtool sign base@3 ha@3";

/// Sign built images with the release key, in the local store
///
/// Signing says that an image is genuine; it runs nowhere before a pin names it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The images
    #[arg(required = true, value_name = "ROLE@VERSION")]
    images: Vec<ImageName>,
}

/// An image and what becomes of it.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    image: ImageName,
    manifest: Sha256,
    counter: u64,
    /// False if it was signed before.
    new: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let mut change = Change::local(context)?;
    let rows = stage(&mut change, &args.images)?;
    change.finish()?;
    context.ui.show(&rows, |rows| rows.iter().map(line).collect())
}

/// Lists the images that are built and not signed yet; what is said of each.
pub(crate) fn stage(change: &mut Change, images: &[ImageName]) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for name in images {
        let built = Built::load(&change.repo, &change.store, name)?;
        let new = is_new(change, &built)?;
        refuse_twin(change, &rows, &built)?;
        rows.push(Row {
            image: name.clone(),
            manifest: built.digest(),
            counter: built.manifest().counter,
            new,
        });
        if new {
            change.set(TargetKind::Image(name.clone()), built.into_bytes())?;
        }
    }
    Ok(rows)
}

/// Whether the build is to be signed; false if the very same is signed already.
fn is_new(change: &Change, built: &Built) -> anyhow::Result<bool> {
    let manifest = built.manifest();
    let name = &manifest.name;
    if let Some((signed, _)) = change.view.images.get(name) {
        if *signed == built.digest() {
            return Ok(false);
        }
        bail!(
            "{name} is signed already with other content: manifest {signed}, the build has {}; a signed version never changes, build with another --version",
            built.digest()
        );
    }
    Ok(true)
}

/// A release counter orders the versions of a role, so no two may share one.
fn refuse_twin(change: &Change, rows: &[Row], built: &Built) -> anyhow::Result<()> {
    let Manifest { name, counter, .. } = built.manifest();
    let signed = change.view.images.values().map(|(_, manifest)| (&manifest.name, manifest.counter));
    let mut known = signed.chain(rows.iter().map(|row| (&row.image, row.counter)));
    match known.find(|(other, taken)| other.role == name.role && *other != name && taken == counter) {
        Some((other, _)) => {
            bail!(
                "{name} has release counter {counter}, which {other} has too; build it again to get the next one"
            )
        }
        None => Ok(()),
    }
}

fn line(row: &Row) -> String {
    let Row { image, manifest, counter, new } = row;
    let state = if *new { good("signed") } else { dim("was signed already, unchanged") };
    format!(
        "{} {state}  {}\n",
        strong(image),
        dim(format!("counter {counter}, manifest {}", manifest.short()))
    )
}

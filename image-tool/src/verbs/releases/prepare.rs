//! `imgtool releases prepare`: built images as a proposal.

use std::path::PathBuf;

use anyhow::bail;
use image_format::ImageName;
use image_format::repository::TargetKind;

use crate::ceremony::{self, Ceremony};
use crate::change::Change;
use crate::context::Context;
use crate::keys::KeyRole;
use crate::stage::Signed;
use crate::verbs::sign;

const EXAMPLES: &str = "\
Examples:
  imgtool releases prepare ha@2 -o ha2.json
  imgtool releases prepare --remove ha@1 -o remove.json
  imgtool releases prepare --renew -o renew.json";

/// Prepare built images to be signed; nothing is signed yet
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The images
    #[arg(required_unless_present_any = ["renew", "remove"], value_name = "ROLE@VERSION")]
    images: Vec<ImageName>,

    /// List this image no more; no group may be pinned to it
    #[arg(long, value_name = "ROLE@VERSION")]
    remove: Vec<ImageName>,

    /// Sign the releases anew, so that they last longer
    #[arg(long)]
    renew: bool,

    /// Where to write the proposal; the file must not exist
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let mut change = Change::local(context)?;
    sign::stage(&mut change, &args.images)?;
    for name in &args.remove {
        Signed::find(&change.view, &change.repo, name)?;
        if let Some(pin) = change.view.pins.values().find(|pin| pin.stable.name == *name) {
            bail!("group {} is pinned to {name}; pin it to another image first", pin.group);
        }
        change.remove(&TargetKind::Image(name.clone()));
        if change.view.patches.contains_key(name) {
            change.remove(&TargetKind::Patches(name.clone()));
        }
    }
    if args.renew {
        change.model_mut().renew(KeyRole::Releases.role());
    }
    ceremony::prepared(Ceremony::Releases, &change.propose()?, &args.out, context)
}

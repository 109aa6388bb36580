//! `imgtool releases prepare`: built images as a proposal.

use std::path::PathBuf;

use image_format::ImageName;

use crate::ceremony::{self, Ceremony};
use crate::change::Change;
use crate::context::Context;
use crate::keys::KeyRole;
use crate::verbs::sign;

const EXAMPLES: &str = "\
Examples:
  imgtool releases prepare ha@2 -o ha2.json
  imgtool releases prepare --renew -o renew.json";

/// Prepare built images to be signed; nothing is signed yet
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The images
    #[arg(required_unless_present = "renew", value_name = "ROLE@VERSION")]
    images: Vec<ImageName>,

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
    if args.renew {
        change.model_mut().renew(KeyRole::Releases.role());
    }
    ceremony::prepared(Ceremony::Releases, &change.propose()?, &args.out, context)
}

//! `imgtool key new`: a new key in a file of its own, for instance on a removable medium.

use std::path::PathBuf;

use signing::SecretKey;

use crate::context::Context;
use crate::fsutil::{SECRET, create};
use crate::keys::{KeyReport, KeyRole};

const EXAMPLES: &str = "\
Examples:
  imgtool key new releases --out /media/stick/releases.pem";

/// Make a new key (PKCS#8 PEM, mode 0600)
///
/// The key signs nothing until the role's metadata names it; `imgtool key import` puts it into a repository.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The role that it is meant for
    #[arg(value_enum)]
    role: KeyRole,
    /// The file, which must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let key = SecretKey::generate()?;
    create(&args.out, key.to_pem()?.as_bytes(), SECRET)?;
    let report = KeyReport::new(Some(args.role), Some(args.out.clone()), &key.public())?;
    context.ui.show(&report, KeyReport::text)
}

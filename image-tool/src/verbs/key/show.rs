//! `imgtool key show`: the public half of a key file.

use std::path::PathBuf;

use crate::context::Context;
use crate::keys::{self, KeyReport};
use crate::ui;

const EXAMPLES: &str = "\
Examples:
  imgtool key show bascule/keys/releases.pem
  imgtool key show ~/.ssh/id_ed25519.pub
  imgtool key show bascule/keys/releases.pem --public > releases.pub";

/// Show a key's id and public half; never the secret one
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Private or public key, of imgtool, OpenSSL, OpenSSH, signify or minisign
    file: PathBuf,
    /// Print only the public key as PEM
    #[arg(long, conflicts_with = "json")]
    public: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let public = keys::load_public(&args.file, &context.passphrases)?;
    if args.public {
        return ui::print(&public.to_pem()?);
    }
    context.ui.show(&KeyReport::new(None, Some(args.file.clone()), &public)?, KeyReport::text)
}

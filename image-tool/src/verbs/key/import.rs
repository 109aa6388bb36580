//! `imgtool key import`: a key made elsewhere becomes a role's key file.

use std::path::PathBuf;

use anyhow::bail;

use crate::context::Context;
use crate::fsutil::{SECRET, create};
use crate::keys::{self, KeyReport, KeyRole};
use crate::repo::Repo;

const EXAMPLES: &str = "\
Examples:
  openssl genpkey -algorithm ed25519 -out releases.pem && chmod 600 releases.pem
  imgtool key import releases releases.pem";

/// Import a private key (PKCS#8 PEM, as OpenSSL writes it) as a role's key
///
/// The key must be the one that the role's metadata names; the file of another key is refused.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The role
    #[arg(value_enum)]
    role: KeyRole,
    /// PEM file of the private key, readable by its owner only
    file: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let repo = Repo::open(&context.repo)?;
    let _lock = repo.lock()?;
    let key = keys::load_secret(&args.file)?;
    let model = repo.model(&repo.store()?)?;
    keys::check_role(&model, args.role, &key.public(), &args.file)?;
    let path = repo.keys().path(args.role);
    if path.exists() {
        let present = keys::load_public(&path)?;
        if present == key.public() {
            context.ui.note(&format!("{} is that key already", path.display()));
        } else {
            bail!("{} holds another key ({}); move it away first", path.display(), present.id());
        }
    } else {
        create(&path, key.to_pem()?.as_bytes(), SECRET)?;
    }
    context.ui.show(&KeyReport::new(Some(args.role), Some(path), &key.public())?, KeyReport::text)
}

//! `imgtool key new`: a new key in a file of its own, for instance on a removable medium.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use signing::SecretKey;

use crate::context::Context;
use crate::keys::{self, KeyReport, KeyRole};
use crate::repo::Repo;

const EXAMPLES: &str = "\
Examples:
  imgtool key new releases --out /media/stick/releases.pem --encrypt
  imgtool key new root                                       as keys/root-4.pem, say, of this repository";

/// Make a new key (PKCS#8 PEM, mode 0600), and its public half beside it (.pub)
///
/// The key signs nothing until the role's metadata names it: imgtool root prepare --add-key ROLE=FILE.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The role that it is meant for
    #[arg(value_enum, required_unless_present = "out")]
    role: Option<KeyRole>,
    /// The file, which must not exist [default: the next free keys/ROLE-N.pem of the repository]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Encrypt it with a passphrase, which is asked for at the terminal (or see the options for passphrases)
    #[arg(long)]
    encrypt: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let path = match (&args.out, args.role) {
        (Some(out), _) => out.clone(),
        (None, Some(role)) => free(role, context)?,
        (None, None) => bail!("expected a role or --out FILE"),
    };
    // Asked for before anything is made.
    let passphrase = args.encrypt.then(|| context.passphrases.choose(&path)).transpose()?;
    let key = SecretKey::generate()?;
    keys::save(&path, &key, passphrase.as_ref().map(|passphrase| passphrase.as_str()))?;
    context.ui.show(&KeyReport::new(args.role, Some(path), &key.public())?, KeyReport::text)
}

/// The first `keys/ROLE-N.pem` of the repository that does not exist, private or public.
fn free(role: KeyRole, context: &Context) -> anyhow::Result<PathBuf> {
    let repo = Repo::open(&context.repo)?;
    let name = |number: u32| keys::key_dir(repo.dir()).join(format!("{role}-{number}.pem"));
    let is_free = |path: &PathBuf| !path.exists() && !keys::public_path(path).exists();
    (1..1000).map(name).find(is_free).context("expected fewer than 1000 keys of a role")
}

//! `imgtool key import`: a key made elsewhere becomes a role's key file.

use std::path::{Path, PathBuf};

use anyhow::bail;
use signing::PublicKey;

use crate::context::Context;
use crate::fsutil::{PUBLIC, SECRET, create, read_limited};
use crate::keys::{self, KeyReport, KeyRole, Secrecy};
use crate::repo::Repo;

const EXAMPLES: &str = "\
Examples:
  openssl genpkey -algorithm ed25519 -aes-256-cbc -out releases.pem && chmod 600 releases.pem
  imgtool key import releases releases.pem             a private key: this repository can sign with it
  imgtool key import root ~/.ssh/id_ed25519.pub        a public key: its secret stays with an agent or elsewhere";

/// Import a key of OpenSSL or OpenSSH as a role's key
///
/// A private key must be one that the role's metadata names. An encrypted one stays encrypted. A public key gets a name in keys/, and may be
/// one that is to be added: imgtool root prepare --add-key.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The role
    #[arg(value_enum)]
    role: KeyRole,
    /// Private key (PEM, readable by its owner only) or public key (PEM, `ssh-ed25519 …`, signify, minisign)
    file: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let repo = Repo::open(&context.repo)?;
    let _lock = repo.lock()?;
    let path = match keys::secrecy(&args.file)? {
        Secrecy::Public => import_public(args, &repo, context)?,
        _ => import_private(args, &repo, context)?,
    };
    let public = keys::load_public(&path, &context.passphrases)?;
    context.ui.show(&KeyReport::new(Some(args.role), Some(path), &public)?, KeyReport::text)
}

fn import_private(args: &Args, repo: &Repo, context: &Context) -> anyhow::Result<PathBuf> {
    let key = keys::load_secret(&args.file, &context.passphrases)?;
    let model = repo.model(&repo.store()?)?;
    keys::check_role(&model, args.role, &key.public(), &args.file)?;
    let (path, exists) = place(args.role, repo, "pem", &key.public(), context)?;
    if exists {
        context.ui.note(&format!("{} is that key already", path.display()));
        return Ok(path);
    }
    if keys::secrecy(&args.file)? == Secrecy::Encrypted {
        create(&path, &read_limited(&args.file, keys::KEY_MAX)?, SECRET)?;
    } else {
        create(&path, key.to_pem()?.as_bytes(), SECRET)?;
    }
    let beside = keys::public_path(&path);
    if !beside.exists() {
        create(&beside, key.public().to_pem()?.as_bytes(), PUBLIC)?;
    }
    Ok(path)
}

fn import_public(args: &Args, repo: &Repo, context: &Context) -> anyhow::Result<PathBuf> {
    let public = keys::load_public(&args.file, &context.passphrases)?;
    let (path, exists) = place(args.role, repo, "pub", &public, context)?;
    if exists {
        context.ui.note(&format!("{} is that key already", path.display()));
    } else {
        create(&path, public.to_pem()?.as_bytes(), PUBLIC)?;
    }
    Ok(path)
}

/// Where the key belongs, and whether it is there: `keys/ROLE.EXT`, or the first free `keys/ROLE-N.EXT`.
fn place(
    role: KeyRole,
    repo: &Repo,
    extension: &str,
    key: &PublicKey,
    context: &Context,
) -> anyhow::Result<(PathBuf, bool)> {
    let dir = keys::key_dir(repo.dir());
    let names = std::iter::once(role.to_string()).chain((1..1000).map(|number| format!("{role}-{number}")));
    let same =
        |path: &Path| -> anyhow::Result<bool> { Ok(keys::load_public(path, &context.passphrases)? == *key) };
    for name in names {
        let path = dir.join(name).with_extension(extension);
        let beside = keys::public_path(&path);
        match (path.exists(), beside.exists()) {
            (true, _) if same(&path)? => return Ok((path, true)),
            // The secret half of a key whose public half has this name belongs beside it.
            (false, true) if !same(&beside)? => {}
            (false, _) => return Ok((path, false)),
            (true, _) => {}
        }
    }
    bail!("{}: expected fewer than 1000 keys of role {role}", dir.display())
}

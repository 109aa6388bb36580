//! The keys of a repository: files below `keys/`, and the signers that `bascule.toml` names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use signing::repo::{Need, Proposal, Repository as Model, RoleName};
use signing::{KeyId, PublicKey, SecretKey, Signer};

use super::file::{Secrecy, load_public, load_secret, public_path, secrecy};
use super::locked::open;
use super::passphrase::Passphrases;
use super::role::KeyRole;
use super::rules::{ceremony, list, rules, signers, wrong_key};
use super::signer::SignerConfig;

/// The keys of a repository.
#[derive(Debug, Clone)]
pub(crate) struct KeyRing {
    /// The repository directory.
    dir: PathBuf,
    configured: Vec<SignerConfig>,
    passphrases: Arc<Passphrases>,
}

/// Names of keys for people: key id → `root-2`.
pub(crate) type KeyNames = Vec<(KeyId, String)>;

/// A key that can sign here, as far as can be told without opening it.
#[derive(Debug)]
pub(crate) struct Present {
    /// Where it is, for people.
    pub(crate) place: String,
    /// Name of the key file without its ending (`root-2`).
    pub(crate) label: Option<String>,
    /// The key, or why it cannot be used.
    pub(crate) public: anyhow::Result<PublicKey>,
}

impl KeyRing {
    /// The keys of the repository in `dir`.
    pub(crate) fn new(dir: &Path, configured: &[SignerConfig], passphrases: &Arc<Passphrases>) -> Self {
        Self { dir: dir.to_owned(), configured: configured.to_vec(), passphrases: Arc::clone(passphrases) }
    }

    /// The file of a role's only key: `keys/root.pem`.
    pub(crate) fn path(&self, role: KeyRole) -> PathBuf {
        key_dir(&self.dir).join(format!("{role}.pem"))
    }

    /// The role's key files that are here: `keys/root.pem`, then `keys/root-*.pem` by name.
    pub(crate) fn files(&self, role: KeyRole) -> anyhow::Result<Vec<PathBuf>> {
        let (exact, prefix) = (format!("{role}.pem"), format!("{role}-"));
        self.named(|name| name == exact || (name.starts_with(&prefix) && name.ends_with(".pem")))
    }

    /// Everything that can sign for `role` here and that `signers` trusts.
    ///
    /// # Errors
    /// None is here (the text names what is expected), or one that is here cannot be opened.
    pub(crate) fn signers(
        &self,
        role: KeyRole,
        trusted: &[KeyId],
        model: &Model,
    ) -> anyhow::Result<Vec<Box<dyn Signer>>> {
        let mut signers: Vec<Box<dyn Signer>> = Vec::new();
        let mut strangers = Vec::new();
        for path in self.files(role)? {
            // An encrypted key without its public half beside it is opened to see whose it is.
            let public = load_public(&path, &self.passphrases)?;
            if trusted.contains(&public.id()) {
                signers.push(open(path, public, &self.passphrases)?);
            } else {
                strangers.push((path, public));
            }
        }
        let mut problems = Vec::new();
        for configured in self.configured.iter().filter(|configured| configured.role() == role) {
            match configured.signers(&self.dir, trusted, &self.passphrases) {
                Ok(more) => signers.extend(more),
                Err(error) => problems.push(error.context(format!("use {}", configured.place()))),
            }
        }
        let mut seen = Vec::new();
        signers.retain(|signer| {
            let id = signer.public().id();
            let new = !seen.contains(&id);
            seen.push(id);
            new
        });
        match (signers.is_empty(), problems.pop(), strangers.first()) {
            (false, ..) => Ok(signers),
            (true, Some(problem), _) => Err(problem),
            (true, None, Some((path, public))) => Err(wrong_key(model, role, trusted, public, path)),
            (true, None, None) => bail!(
                "no key for role {role}: expected {} with key id {}; bring it with `imgtool key import {role} FILE`, or sign elsewhere in steps (imgtool {} prepare)",
                self.path(role).display(),
                list(trusted),
                ceremony(role)
            ),
        }
    }

    /// The secret key of an online role, for keys that are used as such.
    pub(crate) fn secret(&self, role: KeyRole, model: &Model) -> anyhow::Result<SecretKey> {
        let trusted = signers(model, role);
        for path in self.files(role)? {
            if trusted.contains(&load_public(&path, &self.passphrases)?.id()) {
                return load_secret(&path, &self.passphrases);
            }
        }
        // The error says which key is missing, or whose key is there instead.
        self.signers(role, trusted, model)?;
        bail!("role {role} is signed by key files only: expected {}", self.path(role).display())
    }

    /// Whether as many of the role's keys are here as must sign.
    pub(crate) fn can_sign(&self, role: KeyRole, model: &Model) -> anyhow::Result<bool> {
        let Some(rules) = rules(model, role) else { return Ok(false) };
        let ids = self.present(role)?.into_iter().filter_map(|present| Some(present.public.ok()?.id()));
        let here: BTreeSet<KeyId> = ids.filter(|id| rules.keyids.contains(id)).collect();
        Ok(usize::try_from(rules.threshold).is_ok_and(|threshold| here.len() >= threshold))
    }

    /// Whether keys of snapshot and timestamp are here, so that metadata can be made complete without a server.
    pub(crate) fn completes(&self, model: &Model) -> anyhow::Result<bool> {
        Ok(self.has_trusted(KeyRole::Snapshot, model)? && self.has_trusted(KeyRole::Timestamp, model)?)
    }

    /// Refuses when one of the two keys is here and the other is not: then it is missing, and not a server's.
    pub(crate) fn refuse_half(&self, model: &Model) -> anyhow::Result<()> {
        for (here, missing) in
            [(KeyRole::Snapshot, KeyRole::Timestamp), (KeyRole::Timestamp, KeyRole::Snapshot)]
        {
            if self.has_trusted(here, model)? {
                self.secret(missing, model)?;
            }
        }
        Ok(())
    }

    fn has_trusted(&self, role: KeyRole, model: &Model) -> anyhow::Result<bool> {
        let trusted = signers(model, role);
        let is_trusted = |present: Present| present.public.is_ok_and(|public| trusted.contains(&public.id()));
        Ok(self.present(role)?.into_iter().any(is_trusted))
    }

    /// What can sign for `role` here, for overviews; nothing is opened that asks for a passphrase.
    pub(crate) fn present(&self, role: KeyRole) -> anyhow::Result<Vec<Present>> {
        let file = |path: PathBuf| {
            let locked = secrecy(&path).is_ok_and(|secrecy| secrecy == Secrecy::Encrypted)
                && !public_path(&path).is_file();
            let public = if locked {
                Err(anyhow!("encrypted, and no {} beside it", public_path(&path).display()))
            } else {
                load_public(&path, &self.passphrases)
            };
            Present { label: label(&path), place: path.display().to_string(), public }
        };
        let mut present: Vec<Present> = self.files(role)?.into_iter().map(file).collect();
        for configured in self.configured.iter().filter(|configured| configured.role() == role) {
            let (place, label) = (configured.place(), None);
            match configured.publics(&self.dir, &self.passphrases) {
                Ok(keys) => present.extend(keys.into_iter().map(|key| Present {
                    place: place.clone(),
                    label: label.clone(),
                    public: Ok(key),
                })),
                Err(error) => present.push(Present { place, label, public: Err(error) }),
            }
        }
        Ok(present)
    }

    /// Names of keys for people: those of the key files in `keys/`, private or public.
    pub(crate) fn names(&self) -> anyhow::Result<KeyNames> {
        let files = self.named(|name| name.ends_with(".pub") || name.ends_with(".pem"))?;
        // What needs a passphrase has its name from the public half beside it; what is no key has none.
        let open = |path: &PathBuf| secrecy(path).is_ok_and(|secrecy| secrecy != Secrecy::Encrypted);
        let known = |path: PathBuf| Some((load_public(&path, &self.passphrases).ok()?.id(), label(&path)?));
        Ok(files.into_iter().filter(open).filter_map(known).collect())
    }

    fn named(&self, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Vec<PathBuf>> {
        let dir = key_dir(&self.dir);
        let what = || format!("read directory {}", dir.display());
        let mut names: Vec<String> = Vec::new();
        let entries = match fs::read_dir(&dir) {
            // An admin may keep all keys elsewhere.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(what)?,
        };
        for entry in entries {
            let name = entry.with_context(what)?.file_name();
            names.extend(name.to_str().filter(|name| wanted(name)).map(str::to_owned));
        }
        names.sort_by_key(|name| (name.len(), name.clone()));
        Ok(names.into_iter().map(|name| dir.join(name)).collect())
    }
}

/// Signs every role of `proposal` with the keys that are here; there must be enough for each.
pub(crate) fn sign_here(proposal: &mut Proposal, model: &Model, keys: &KeyRing) -> anyhow::Result<()> {
    for role in proposal.roles() {
        let needs = proposal.progress(model).into_iter().filter(|progress| progress.role == role);
        let needs: Vec<Need> = needs.flat_map(|progress| progress.needs).collect();
        let wanted: Vec<KeyId> = needs.iter().flat_map(|need| need.open.clone()).collect();
        let mut problem = None;
        for signer in keys.signers(role.into(), &wanted, model)? {
            if is_signed(proposal, model, role) {
                break;
            }
            // Another key may do.
            problem = proposal.sign(model, role, &*signer).err().or(problem);
        }
        if is_signed(proposal, model, role) {
            continue;
        }
        if let Some(problem) = problem {
            return Err(problem).with_context(|| format!("sign {} metadata", role.as_str()));
        }
        let needed = needs.iter().map(|need| need.threshold).max().unwrap_or_default();
        let signed = proposal.progress(model).into_iter().filter(|progress| progress.role == role);
        let signed = signed.flat_map(|progress| progress.needs).map(|need| need.signed.len()).min();
        bail!(
            "{} needs {needed} of its keys to sign, {} are here; sign where the others are, in steps: imgtool {} prepare",
            role.as_str(),
            signed.unwrap_or_default(),
            ceremony(role.into())
        );
    }
    Ok(())
}

/// Whether enough keys have signed a role.
fn is_signed(proposal: &Proposal, model: &Model, role: RoleName) -> bool {
    let mut progress = proposal.progress(model).into_iter();
    progress.find(|progress| progress.role == role).is_none_or(|progress| progress.is_complete())
}

/// Where the key files of the repository in `dir` are.
pub(crate) fn key_dir(dir: &Path) -> PathBuf {
    dir.join("keys")
}

fn label(path: &Path) -> Option<String> {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned())
}

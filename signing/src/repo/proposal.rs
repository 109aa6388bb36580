//! Changed roles on their way to enough signatures, possibly over several machines.
//!
//! ```text
//! Repository::propose ─→ Proposal ─ sign ─ sign ─→ Repository::accept ─→ complete (snapshot, timestamp)
//! ```
//!
//! A proposal is content and the signatures so far. It is judged against the repository that it was made on: that says which keys
//! must sign. A proposal from elsewhere is not trusted for anything; [`Proposal::from_files`] checks its shape alone.

use std::collections::BTreeMap;

use super::{Repository, RoleName, Section};
use crate::error::TrustError;
use crate::hex;
use crate::json::Value;
use crate::key::{Key, KeyId, PublicKey};
use crate::limits::{ROOT_MAX_LEN, TARGETS_MAX_LEN};
use crate::metadata::{Envelope, Root, SignatureEntry, Signers, Targets};
use crate::sign::{SignError, render};
use crate::signer::{Signer, SignerError};
use crate::verify::verify_threshold;

/// New content of some of the roles root, targets, releases and pins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proposal {
    drafts: BTreeMap<RoleName, Draft>,
    root: Option<Root>,
    sections: BTreeMap<RoleName, Targets>,
}

/// One role's file in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Draft {
    signed: Value,
    signatures: Vec<SignatureEntry>,
}

/// What a proposed role still lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The role.
    pub role: RoleName,
    /// All of them must be met: for a new root the keys of the root before and those of the new one.
    pub needs: Vec<Need>,
}

/// A number of signatures by some set of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Whose word it is: `root`, `the root before`, `releases`.
    pub by: String,
    /// How many distinct keys must sign.
    pub threshold: u32,
    /// Keys that have signed, and whose signature is valid.
    pub signed: Vec<KeyId>,
    /// Keys that may sign and have not.
    pub open: Vec<KeyId>,
}

impl Need {
    /// Whether enough have signed.
    pub fn is_met(&self) -> bool {
        u32::try_from(self.signed.len()).unwrap_or(u32::MAX) >= self.threshold
    }
}

impl Progress {
    /// Whether nothing is lacking.
    pub fn is_complete(&self) -> bool {
        self.needs.iter().all(Need::is_met)
    }
}

impl Proposal {
    /// Reads proposed files: role → content of its metadata file. Signatures are not checked here.
    ///
    /// # Errors
    /// [`TrustError`]: no metadata of that role, too long, or a role that is never proposed (snapshot, timestamp).
    pub fn from_files(files: &BTreeMap<RoleName, Vec<u8>>) -> Result<Self, TrustError> {
        let mut proposal = Self::default();
        for (role, bytes) in files {
            let limit = if *role == RoleName::Root { ROOT_MAX_LEN } else { TARGETS_MAX_LEN };
            let envelope = Envelope::parse(role.as_str(), bytes, limit)?;
            proposal.read(*role, &envelope)?;
            let (signed, signatures) = envelope.into_parts();
            proposal.drafts.insert(*role, Draft { signed, signatures });
        }
        Ok(proposal)
    }

    pub(super) fn add(&mut self, role: RoleName, signed: Value) -> Result<(), TrustError> {
        let envelope = Envelope::unsigned(role.as_str(), signed);
        self.read(role, &envelope)?;
        let (signed, signatures) = envelope.into_parts();
        self.drafts.insert(role, Draft { signed, signatures });
        Ok(())
    }

    fn read(&mut self, role: RoleName, envelope: &Envelope) -> Result<(), TrustError> {
        match role {
            RoleName::Root => self.root = Some(envelope.read()?),
            RoleName::Targets | RoleName::Releases | RoleName::Pins => {
                self.sections.insert(role, envelope.read()?);
            }
            RoleName::Snapshot | RoleName::Timestamp => {
                return Err(TrustError::malformed(role.as_str(), "this role is never proposed"));
            }
        }
        Ok(())
    }

    /// Whether nothing is proposed.
    pub fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    /// The proposed roles, the most precious first.
    pub fn roles(&self) -> Vec<RoleName> {
        self.drafts.keys().copied().collect()
    }

    /// The proposed root.
    pub fn root(&self) -> Option<&Root> {
        self.root.as_ref()
    }

    /// The proposed content of a targets role.
    pub fn section(&self, section: Section) -> Option<&Targets> {
        self.sections.get(&section.role())
    }

    /// Version that a proposed role will have.
    pub fn version(&self, role: RoleName) -> Option<u64> {
        match role {
            RoleName::Root => self.root.as_ref().map(|root| root.version),
            _ => self.sections.get(&role).map(|targets| targets.version),
        }
    }

    /// The files with the signatures so far.
    ///
    /// # Errors
    /// [`SignError::Json`], which content that was read once never gives.
    pub fn files(&self) -> Result<BTreeMap<RoleName, Vec<u8>>, SignError> {
        let file = |(role, draft): (&RoleName, &Draft)| {
            let file = render(&draft.signed, &draft.signatures).map_err(SignError::json(role.as_str()))?;
            Ok((*role, file))
        };
        self.drafts.iter().map(file).collect()
    }

    /// Signs a proposed role, if the key may and has not. `false`: it had signed already.
    ///
    /// # Errors
    /// [`SignError::NotAuthorised`], [`SignError::Signer`], or [`SignError::Trust`] for a role that is not proposed.
    pub fn sign(
        &mut self,
        base: &Repository,
        role: RoleName,
        signer: &dyn Signer,
    ) -> Result<bool, SignError> {
        let (public, name) = (signer.public(), role.as_str());
        let keyid = public.id();
        let needs = self.needs(base, role);
        if needs.iter().any(|need| need.signed.contains(&keyid)) {
            return Ok(false);
        }
        let missing = || TrustError::Missing { file: format!("proposed {name} metadata") };
        let draft = self.drafts.get_mut(&role).ok_or_else(missing)?;
        if !needs.iter().any(|need| need.open.contains(&keyid)) {
            return Err(SignError::NotAuthorised { role: name.to_owned(), keyid });
        }
        let message = draft.signed.canonical();
        let refused = |source| SignError::Signer { role: name.to_owned(), keyid: keyid.clone(), source };
        let signature = signer.sign(&message).map_err(refused)?;
        if !public.verifies(&message, &signature) {
            return Err(refused(SignerError("its signature does not verify".to_owned())));
        }
        // An entry that did not verify may stand under this id.
        draft.signatures.retain(|entry| entry.keyid != keyid.as_str());
        draft.signatures.push(SignatureEntry { keyid: keyid.to_string(), sig: hex::encode(&signature) });
        Ok(true)
    }

    /// What each proposed role still lacks, in the order of [`Proposal::roles`].
    pub fn progress(&self, base: &Repository) -> Vec<Progress> {
        self.drafts.keys().map(|role| Progress { role: *role, needs: self.needs(base, *role) }).collect()
    }

    /// Whether every proposed role has all its signatures.
    pub fn is_complete(&self, base: &Repository) -> bool {
        self.progress(base).iter().all(Progress::is_complete)
    }

    /// Checks the signatures of one role by the one threshold loop.
    pub(super) fn verify(&self, base: &Repository, role: RoleName) -> Result<(), SignError> {
        let Some(draft) = self.drafts.get(&role) else { return Ok(()) };
        let message = draft.signed.canonical();
        for (by, keys, signers) in self.authorities(base, role) {
            match verify_threshold(&by, &message, &draft.signatures, keys, signers) {
                Err(TrustError::Threshold { needed, valid, .. }) => {
                    let role = role.as_str().to_owned();
                    return Err(SignError::NotEnoughKeys { role, needed, found: valid });
                }
                other => other?,
            }
        }
        Ok(())
    }

    fn needs(&self, base: &Repository, role: RoleName) -> Vec<Need> {
        let Some(draft) = self.drafts.get(&role) else { return Vec::new() };
        let message = draft.signed.canonical();
        let valid = |keyid: &KeyId, key: Option<&Key>| {
            let public: Option<PublicKey> = key.and_then(|key| key.public().ok().flatten());
            let mut entries = draft.signatures.iter().filter(|entry| entry.keyid == keyid.as_str());
            entries.any(|entry| {
                let signature = hex::decode::<64>(&entry.sig);
                signature.zip(public).is_some_and(|(signature, public)| public.verifies(&message, &signature))
            })
        };
        let need = |(by, keys, signers): (String, &BTreeMap<KeyId, Key>, &Signers)| {
            let ids = signers.keyids.iter().cloned();
            let (signed, open) = ids.partition(|keyid| valid(keyid, keys.get(keyid)));
            Need { by, threshold: signers.threshold, signed, open }
        };
        self.authorities(base, role).into_iter().map(need).collect()
    }

    /// Who must sign `role`: in the order in which the sets are checked.
    fn authorities<'a>(
        &'a self,
        base: &'a Repository,
        role: RoleName,
    ) -> Vec<(String, &'a BTreeMap<KeyId, Key>, &'a Signers)> {
        let root = self.root.as_ref().or(base.root.written.as_ref());
        let targets = self.sections.get(&RoleName::Targets).or(base.targets.written.as_ref()).into_iter();
        let name = role.as_str().to_owned();
        match role {
            RoleName::Root => {
                let old = base.root.written.iter();
                let old = old.map(|old| ("the root before".to_owned(), &old.keys, &old.roles.root));
                let new = self.root.iter().map(|new| (name.clone(), &new.keys, &new.roles.root));
                old.chain(new).collect()
            }
            RoleName::Targets => {
                root.into_iter().map(|root| (name.clone(), &root.keys, &root.roles.targets)).collect()
            }
            _ => {
                let delegations = targets.flat_map(|targets| &targets.delegations);
                let named = delegations.filter_map(|delegations| {
                    let mut roles = delegations.roles.iter();
                    let delegation = roles.find(|delegation| delegation.name == name)?;
                    Some((name.clone(), &delegations.keys, &delegation.signers))
                });
                named.collect()
            }
        }
    }
}

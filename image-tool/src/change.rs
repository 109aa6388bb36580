//! A signed change of the local store, and its way to where it is published.
//!
//! **Order.** First everything is asked that could be refused: the destination must be reachable, have every image that the
//! metadata lists, and metadata that this repository's follow from (it is brought up if it is behind). Then the change is signed
//! in memory, committed *there*, on the condition that nobody else's came in between, and only then here. So a refusal there
//! leaves both sides as they were, and two admins who sign at once cannot both believe that their file is version 12. When
//! there is no answer, nobody knows what happened there: the change is kept here, and `imgtool publish` settles it (the same
//! bytes again are no conflict). Killed between the two commits, the other side is ahead by a change that this repository's own
//! keys have signed: the next command says so, and `imgtool pull` brings it.
//!
//! **Snapshot and timestamp** are signed here if their keys are here. If they are a server's, the change is completed there, and
//! the result is taken over from there, verified as a node verifies it; a change that stays here waits ([`crate::pending`]).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use fleet_protocol::Names;
use image_format::patches::patches_path;
use image_format::pin::{ASSIGNMENTS_PATH, pin_path};
use image_format::repository::{Repository, TargetFile, TargetKind, Upload, View};
use image_format::store::Store;
use image_format::{Group, Sha256};
use signing::UnixTime;
use signing::metadata::{Target, file_name};
use signing::online::{OnlineKeys, OnlineRole};
use signing::repo::{Proposal, Repository as Model, Section};

use crate::clock;
use crate::context::Context;
use crate::destination::{Destination, NotCommitted, To};
use crate::keys::{KeyRing, KeyRole, sign_here};
use crate::pending;
use crate::proposal::ProposalFile;
use crate::publish::{Current, Plan};
use crate::pull::take_over;
use crate::repo::{Lock, Repo};
use crate::similar::hint;

/// Where a change goes besides the local store.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Push {
    #[command(flatten)]
    pub(crate) to: To,

    /// Sign here only; a later `imgtool publish` brings it to the server
    #[arg(long, conflicts_with = "to")]
    no_publish: bool,
}

/// A repository that is being changed.
pub(crate) struct Change {
    pub(crate) repo: Repo,
    pub(crate) store: Store,
    pub(crate) view: View,
    model: Model,
    /// Documents that the change lists.
    documents: BTreeMap<String, Vec<u8>>,
    /// Signed elsewhere, in the place of edits.
    adopted: Option<Proposal>,
    /// Roles whose metadata gets a new version.
    roles: BTreeSet<KeyRole>,
    keys: KeyRing,
    /// Whether the keys of snapshot and timestamp are here.
    completes: bool,
    destination: Option<(Box<dyn Destination>, Names)>,
    _lock: Lock,
}

impl Change {
    /// Opens the repository for a change that stays local.
    pub(crate) fn local(context: &Context) -> anyhow::Result<Self> {
        let repo = Repo::open(&context.repo)?;
        let lock = repo.lock()?;
        let store = repo.store()?;
        let (view, model) = (repo.view(&store)?, repo.model(&store)?);
        let (documents, roles) = (BTreeMap::new(), BTreeSet::new());
        let keys = repo.keys(&context.passphrases);
        let completes = keys.completes(&model)?;
        Ok(Self {
            repo,
            store,
            view,
            model,
            documents,
            adopted: None,
            roles,
            keys,
            completes,
            destination: None,
            _lock: lock,
        })
    }

    /// Opens the repository, and makes sure that the destination would take a change.
    pub(crate) fn pushed(context: &Context, push: &Push) -> anyhow::Result<Self> {
        Self::local(context)?.towards(push)
    }

    /// Makes sure that the destination would take a change. What can be refused by looking here comes before this.
    pub(crate) fn towards(self, push: &Push) -> anyhow::Result<Self> {
        let mut change = self;
        if push.no_publish {
            return Ok(change);
        }
        if let Some(destination) = push.to.open(&change.repo)? {
            let names = change.bring_up(destination.as_ref()).context("nothing was signed")?;
            change.destination = Some((destination, names));
        }
        Ok(change)
    }

    /// Makes sure that both sides have the same; gives what is there then.
    fn bring_up(&mut self, destination: &dyn Destination) -> anyhow::Result<Names> {
        let names = destination.names()?;
        refuse_incomplete(self.completes, &names, destination.name())?;
        let current = Current::load(&self.repo, &self.store, &self.view)?;
        let plan = Plan::make(&current, &names, destination.name())?;
        if let Some(image) = plan.new_images.first() {
            bail!(
                "{image} is signed here but not published at {}; run `imgtool publish {image}` first",
                destination.name()
            );
        }
        if let Some(image) = plan.new_patches.first() {
            bail!(
                "patches to {image} are signed here but not published at {}; run `imgtool publish` first",
                destination.name()
            );
        }
        if names.online {
            if !plan.is_current {
                destination.commit(&plan.upload)?;
            }
            // Who completes here needs to know the newest versions.
            if !plan.is_current || self.completes {
                take_over(&self.repo, &self.store, destination, &plan.upload)?;
                (self.view, self.model) = (self.repo.view(&self.store)?, self.repo.model(&self.store)?);
            }
        } else {
            // Names can be equal and the content not, when two signed the same versions. The other side compares, and is brought
            // up if it is behind; only on top of the very same metadata may anything be signed. What has expired cannot be
            // brought: then the renewed metadata comes first.
            let now = clock::now()?;
            let expired = self.view.expiries.values().any(|expires| *expires <= now);
            if plan.is_current || !expired {
                destination.commit(&plan.upload)?;
            }
        }
        if plan.is_current { Ok(names) } else { destination.names() }
    }

    /// The groups that have a pin, for "did you mean".
    pub(crate) fn group_hint(&self, group: &Group) -> String {
        hint(group.as_str(), self.view.pins.keys().map(ToString::to_string))
    }

    /// The state with the edits so far.
    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// The state, to change who may sign what; only for [`Change::propose`].
    pub(crate) fn model_mut(&mut self) -> &mut Model {
        &mut self.model
    }

    /// What can sign here.
    pub(crate) fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// The edits as a proposal that nobody has signed, to be signed elsewhere. Nothing changes here.
    pub(crate) fn propose(self) -> anyhow::Result<ProposalFile> {
        let now = clock::now()?;
        let proposal = self.model.propose(now).context("prepare a proposal")?;
        if proposal.is_empty() {
            bail!("nothing to propose: that is signed already");
        }
        if !self.repo.pending(&self.store)?.is_empty() {
            bail!(
                "nothing was proposed: there are signed changes that wait; `imgtool publish` brings them to the server first"
            );
        }
        let mut documents = self.documents;
        for name in replaced(&self.repo.model(&self.store)?, &proposal) {
            let bytes = Repository::open(&self.store).read_target(&name);
            let bytes = bytes.with_context(|| format!("read {name}"))?;
            documents
                .insert(name.clone(), bytes.with_context(|| format!("{name} is not in the local store"))?);
        }
        let base = Current::load(&self.repo, &self.store, &self.view)?.files.metadata;
        ProposalFile::new(base, &proposal, documents, now)
    }

    /// Takes a proposal that enough keys have signed in the place of edits, with the documents that it lists.
    pub(crate) fn adopt(&mut self, proposal: Proposal, documents: BTreeMap<String, Vec<u8>>) {
        self.roles.extend(proposal.roles().into_iter().map(KeyRole::from));
        self.documents.extend(documents);
        self.adopted = Some(proposal);
    }

    /// Lists a document, in the place of the one that was listed before.
    pub(crate) fn set(&mut self, kind: TargetKind, bytes: Vec<u8>) -> anyhow::Result<()> {
        let (section, path) = place(&kind);
        let file = TargetFile { sha256: Sha256::of(&bytes), kind };
        let length = bytes.len() as u64;
        let listed = self.model.set_target(section, &path, length, file.sha256.as_bytes(), None);
        listed.with_context(|| format!("sign {path}"))?;
        self.documents.insert(file.to_string(), bytes);
        self.roles.insert(section.into());
        Ok(())
    }

    /// Lists a document no more.
    pub(crate) fn remove(&mut self, kind: &TargetKind) {
        let (section, path) = place(kind);
        self.model.remove_target(section, &path);
        self.roles.insert(section.into());
    }

    /// Signs anew each role whose metadata ends before `until`, and snapshot and timestamp, as every change does.
    /// Gives those that would have to be signed too, but not by the keys that are here.
    pub(crate) fn renew(&mut self, until: UnixTime) -> anyhow::Result<Vec<KeyRole>> {
        let mut elsewhere = Vec::new();
        for role in KeyRole::ALL {
            let is_moving = matches!(role, KeyRole::Snapshot | KeyRole::Timestamp);
            let expires = self.view.expiries.get(role.role().as_str());
            if is_moving && self.completes {
                self.roles.insert(role);
            } else if !is_moving && expires.is_some_and(|expires| *expires < until) {
                if self.keys.can_sign(role, &self.model)? {
                    self.model.renew(role.role());
                    self.roles.insert(role);
                } else {
                    elsewhere.push(role);
                }
            }
        }
        Ok(elsewhere)
    }

    /// Signs, commits there, commits here. Without an edit there is nothing to do: the other side was brought up before.
    pub(crate) fn finish(mut self) -> anyhow::Result<Done> {
        if self.roles.is_empty() {
            return Ok(Done {
                destination: self.destination.map(|(destination, _)| destination.name().to_owned()),
            });
        }
        let signed = self.sign().context("nothing was signed")?;
        let Some((destination, names)) = self.destination.take() else {
            self.keep(signed).context("nothing was changed")?;
            return Ok(Done { destination: None });
        };
        let name = destination.name().to_owned();
        refuse_incomplete(self.completes, &names, &name).context("nothing was changed, here or there")?;
        let current = Current::load(&self.repo, &self.store, &self.view)?.followed_by(&signed);
        let plan = Plan::make(&current, &names, &name)?;
        match destination.commit(&plan.upload) {
            Ok(()) => {
                let kept = if names.online {
                    take_over(&self.repo, &self.store, destination.as_ref(), &plan.upload)
                } else {
                    self.keep(signed)
                };
                kept.with_context(|| format!("current at {name}, but not here; `imgtool pull` brings it"))?;
                Ok(Done { destination: Some(name) })
            }
            Err(NotCommitted::Refused(error)) => Err(error.context("nothing was changed, here or there")),
            Err(NotCommitted::Unknown(error)) => {
                self.keep(signed)?;
                let what =
                    format!("signed here; not known whether {name} has it: `imgtool publish` makes sure");
                Err(error.context(what))
            }
        }
    }

    /// The files of the change: with snapshot and timestamp, if their keys are here.
    fn sign(&mut self) -> anyhow::Result<Upload> {
        if !self.completes {
            self.keys.refuse_half(&self.model)?;
        }
        let now = clock::now()?;
        let proposal = match self.adopted.take() {
            Some(proposal) => proposal,
            None => {
                let mut proposal = self.model.propose(now).context("sign metadata")?;
                sign_here(&mut proposal, &self.model, &self.keys)?;
                proposal
            }
        };
        let mut signed = Upload { targets: std::mem::take(&mut self.documents), ..Upload::default() };
        for (role, bytes) in proposal.files().context("sign metadata")? {
            signed.metadata.insert(file_name(role.as_str(), proposal.version(role)), bytes);
        }
        self.model.accept(&proposal).context("sign metadata")?;
        // A new root may have given these keys to somebody else.
        self.completes = self.keys.completes(&self.model)?;
        if self.completes {
            let mut online = OnlineKeys::default();
            for (role, name) in
                [(KeyRole::Snapshot, OnlineRole::Snapshot), (KeyRole::Timestamp, OnlineRole::Timestamp)]
            {
                online.add(name, self.keys.secret(role, &self.model)?);
            }
            // With what was waiting, if anything was.
            signed.targets.extend(self.repo.pending(&self.store)?.files().targets);
            signed.metadata = self.model.complete(&online, now).context("sign metadata")?;
        }
        Ok(signed)
    }

    /// Makes the change what this repository says.
    fn keep(self, signed: Upload) -> anyhow::Result<()> {
        if !self.completes {
            return pending::push(&self.repo.pending_dir(), &signed);
        }
        let committed = Repository::open(&self.store).commit(signed, clock::now()?);
        committed.with_context(|| format!("commit to {}", self.store.path().display()))?;
        pending::clear(&self.repo.pending_dir())
    }
}

/// Without the keys of snapshot and timestamp, here or there, nothing can take effect.
pub(crate) fn refuse_incomplete(completes: bool, there: &Names, destination: &str) -> anyhow::Result<()> {
    if completes || there.online {
        return Ok(());
    }
    bail!(
        "{destination} does not sign snapshot and timestamp, and their keys are not here; publish to the server that has them, or bring them with `imgtool key import`"
    )
}

/// Pins and assignments that `proposal` replaces or takes away, by file name: what they said is shown before anybody signs.
fn replaced(base: &Model, proposal: &Proposal) -> Vec<String> {
    let Some(pins) = proposal.section(Section::Pins) else { return Vec::new() };
    let old = base.section(Section::Pins).targets.iter();
    let gone = old.filter(|(path, target)| pins.targets.get(*path) != Some(*target));
    let file = |(path, target): (&String, &Target)| {
        let sha256 = Sha256::from_bytes(target.hashes.get_sha256()?);
        Some(TargetFile { sha256, kind: TargetKind::of_path(path)? }.to_string())
    };
    gone.filter_map(file).collect()
}

/// Who signs a document, and under which path.
fn place(kind: &TargetKind) -> (Section, String) {
    match kind {
        TargetKind::Image(name) => (Section::Releases, name.target_path()),
        TargetKind::Patches(name) => (Section::Releases, patches_path(name)),
        TargetKind::Pin(group) => (Section::Pins, pin_path(group)),
        TargetKind::Assignments => (Section::Pins, ASSIGNMENTS_PATH.to_owned()),
    }
}

/// Proof that a change is signed and current here.
#[derive(Debug)]
pub(crate) struct Done {
    /// Where it is current too.
    pub(crate) destination: Option<String>,
}

impl Done {
    /// `; current at URL`, or what is left to do.
    pub(crate) fn text(&self) -> String {
        match &self.destination {
            Some(name) => format!("current at {name}"),
            None => "signed here only; `imgtool publish` brings it to a server".to_owned(),
        }
    }
}

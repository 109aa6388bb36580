//! A proposal that was checked: made on a state that some trusted root vouches for, following it, and hiding nothing.

use std::collections::BTreeMap;
use std::convert::Infallible;

use anyhow::{Context as _, bail, ensure};
use signing::client::{Client, TrustedFiles, load_all, refresh};
use signing::json::to_value;
use signing::repo::{Lifetimes, Progress, Proposal, Repository as Model, RoleName, Section};
use signing::{Fetch, Signer, UnixTime, Value};

use super::ProposalFile;
use super::changes::RoleChange;
use super::diff;
use super::documents::Documents;
use crate::keys::KeyRole;

/// A proposal of which everything can be told in words.
#[derive(Debug)]
pub(crate) struct Examined {
    file: ProposalFile,
    proposal: Proposal,
    base: Model,
    changes: Vec<RoleChange>,
}

impl Examined {
    /// Examines `file` where there is no repository: its base is verified from `root`, as a client would.
    pub(crate) fn from_root(file: ProposalFile, root: &[u8], now: UnixTime) -> anyhow::Result<Self> {
        let base =
            verify_base(file.base(), root).context("verify the state that the proposal was made on")?;
        Self::on(file, base, now)
    }

    /// Examines `file` against `base`, which is verified.
    pub(crate) fn on(file: ProposalFile, base: Model, now: UnixTime) -> anyhow::Result<Self> {
        let proposal = file.proposal()?;
        for role in proposal.roles() {
            check_follows(&proposal, &base, role)?;
            check_lossless(&proposal, role)?;
        }
        let mut documents = Documents::new(file.documents());
        let mut changes = Vec::new();
        let releases = proposal.section(Section::Releases).unwrap_or_else(|| base.section(Section::Releases));
        if let Some(root) = proposal.root() {
            changes.push(diff::root(base.root(), root)?);
        }
        if let Some(targets) = proposal.section(Section::Targets) {
            changes.push(diff::targets(base.section(Section::Targets), targets)?);
        }
        for section in [Section::Releases, Section::Pins] {
            if let Some(content) = proposal.section(section) {
                let (role, old) = (KeyRole::from(section), base.section(section));
                changes.push(documents.section(role, old, content, releases)?);
            }
        }
        documents.refuse_others()?;
        for change in &changes {
            let expires = change.expires.to;
            ensure!(
                expires.is_some_and(|expires| expires > now),
                "the proposed {} metadata has expired; prepare it anew",
                change.role
            );
        }
        Ok(Self { file, proposal, base, changes })
    }

    /// What changes.
    pub(crate) fn changes(&self) -> &[RoleChange] {
        &self.changes
    }

    /// The proposed roles.
    pub(crate) fn roles(&self) -> Vec<KeyRole> {
        self.changes.iter().map(|change| change.role).collect()
    }

    /// The file as it was read, with the signatures so far.
    pub(crate) fn file(&self) -> &ProposalFile {
        &self.file
    }

    /// The state that the change follows.
    pub(crate) fn base(&self) -> &Model {
        &self.base
    }

    /// What is lacking.
    pub(crate) fn progress(&self) -> Vec<Progress> {
        self.proposal.progress(&self.base)
    }

    /// Whether nothing is lacking.
    pub(crate) fn is_complete(&self) -> bool {
        self.proposal.is_complete(&self.base)
    }

    /// Whether enough keys have signed a role.
    pub(crate) fn is_signed(&self, role: KeyRole) -> bool {
        let mut progress = self.progress().into_iter();
        progress.find(|progress| progress.role == role.role()).is_none_or(|progress| progress.is_complete())
    }

    /// Signs one role; `false` if this key has signed it already.
    pub(crate) fn sign(&mut self, role: KeyRole, signer: &dyn Signer) -> anyhow::Result<bool> {
        let signed = self.proposal.sign(&self.base, role.role(), signer);
        let signed = signed.with_context(|| format!("sign {role} metadata"))?;
        self.file.update(&self.proposal)?;
        Ok(signed)
    }

    /// The parts that are committed: what is proposed, and the documents.
    pub(crate) fn into_parts(self) -> (Proposal, BTreeMap<String, Vec<u8>>) {
        let documents = self.file.documents().iter();
        let documents = documents.map(|(name, text)| (name.clone(), text.clone().into_bytes())).collect();
        (self.proposal, documents)
    }
}

/// Follows the base as a client does, from `root` on. That it has expired is no obstacle: renewing it may be the point.
fn verify_base(base: &BTreeMap<String, String>, root: &[u8]) -> anyhow::Result<Model> {
    if base.is_empty() {
        bail!(
            "it proposes the first metadata of a repository, which nothing vouches for; `imgtool publish` publishes it"
        );
    }
    let fetch =
        |wanted: &Fetch| Ok::<_, Infallible>(base.get(&wanted.name).map(|text| text.clone().into_bytes()));
    let mut client =
        Client::new(TrustedFiles::from_root(root), UnixTime(0)).context("read the trusted root")?;
    refresh(&mut client, fetch)?;
    load_all(&mut client, fetch)?;
    let files = client.proof().context("expected complete metadata")?;
    Ok(Model::load(files, Lifetimes::default())?)
}

/// The version must be the next one: a lower one would undo what was signed since, a higher one skip what others sign.
fn check_follows(proposal: &Proposal, base: &Model, role: RoleName) -> anyhow::Result<()> {
    let present = match role {
        RoleName::Root => base.root().version,
        RoleName::Targets => base.section(Section::Targets).version,
        RoleName::Releases => base.section(Section::Releases).version,
        RoleName::Pins => base.section(Section::Pins).version,
        RoleName::Snapshot | RoleName::Timestamp => bail!("{} metadata is never proposed", role.as_str()),
    };
    let (expected, found) = (present.saturating_add(1), proposal.version(role).unwrap_or_default());
    ensure!(
        found == expected,
        "the proposed {} metadata has version {found}, expected {expected}: it was made on another state (version {present} is the present one); prepare it anew",
        role.as_str()
    );
    Ok(())
}

/// What is signed must be exactly what was read and shown: a field that the reader passes over would be signed unseen.
fn check_lossless(proposal: &Proposal, role: RoleName) -> anyhow::Result<()> {
    let name = role.as_str();
    let files = proposal.files().context("read the proposal")?;
    let bytes = files.get(&role).with_context(|| format!("expected proposed {name} metadata"))?;
    let file = signing::parse(bytes, bytes.len()).context("read the proposal")?;
    let understood = match role {
        RoleName::Root => proposal.root().map(to_value),
        RoleName::Targets => proposal.section(Section::Targets).map(to_value),
        RoleName::Releases => proposal.section(Section::Releases).map(to_value),
        RoleName::Pins => proposal.section(Section::Pins).map(to_value),
        RoleName::Snapshot | RoleName::Timestamp => None,
    };
    let understood: Option<Value> = understood.transpose().context("read the proposal")?;
    ensure!(
        understood.is_some() && file.get("signed") == understood.as_ref(),
        "the proposed {name} metadata holds something that cannot be shown (an unknown field)"
    );
    Ok(())
}

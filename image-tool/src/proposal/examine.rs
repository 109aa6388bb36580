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

#[cfg(test)]
mod tests {
    use image_format::Sha256;
    use image_format::pin::{Assignments, PIN_FORMAT, Pin, PinnedImage};
    use image_format::repository::{TargetFile, TargetKind};
    use serde_json::Value;
    use signing::SecretKey;
    use signing::repo::RoleKeys;

    use super::*;

    const NOW: UnixTime = UnixTime(1_790_000_000);

    /// A pin of `web`, listed; its file name and its bytes.
    fn pin(model: &mut Model, image: &str) -> (String, Vec<u8>) {
        let stable = PinnedImage { name: image.parse().unwrap(), manifest: Sha256::of(image.as_bytes()) };
        let pin = Pin { format: PIN_FORMAT, group: "web".parse().unwrap(), stable, disk: None };
        list(model, TargetKind::Pin("web".parse().unwrap()), "pins/web.json", pin.to_bytes().unwrap())
    }

    fn list(model: &mut Model, kind: TargetKind, path: &str, bytes: Vec<u8>) -> (String, Vec<u8>) {
        let sha256 = Sha256::of(&bytes);
        let length = bytes.len() as u64;
        model.set_target(Section::Pins, path, length, sha256.as_bytes(), None).unwrap();
        (TargetFile { sha256, kind }.to_string(), bytes)
    }

    /// A proposal that changes all four roles, and the first root.
    fn good() -> (ProposalFile, Vec<u8>) {
        let mut keys = RoleKeys::default();
        for (seed, role) in (1..).zip(RoleName::ALL) {
            keys.of_mut(role).push(SecretKey::from_seed(&[seed; 32]).unwrap());
        }
        let mut model = Model::create(&keys, Lifetimes::default());
        for image in ["ha@1", "ha@2"] {
            let path = format!("images/{image}.json");
            let digest = Sha256::of(image.as_bytes());
            model.set_target(Section::Releases, &path, 7, digest.as_bytes(), None).unwrap();
        }
        let old = pin(&mut model, "ha@1");
        let base = model.write(&keys, NOW).unwrap();
        let root = model.files().root.clone();
        let mut model = Model::load(model.files().clone(), Lifetimes::default()).unwrap();
        let more = [9, 10].map(|seed| SecretKey::from_seed(&[seed; 32]).unwrap().public());
        model.set_signers(RoleName::Root, &[keys.root[0].public(), more[0]], 2).unwrap();
        model.set_signers(RoleName::Releases, &[keys.releases[0].public(), more[1]], 1).unwrap();
        model.remove_target(Section::Releases, "images/ha@1.json");
        let new = pin(&mut model, "ha@2");
        let mut assignments = Assignments::empty();
        assignments.default = Some("web".parse().unwrap());
        let assigned = list(
            &mut model,
            TargetKind::Assignments,
            "pins/@assignments.json",
            assignments.to_bytes().unwrap(),
        );
        let proposal = model.propose(NOW).unwrap();
        let documents = [old, new, assigned].into();
        (ProposalFile::new(base, &proposal, documents, NOW).unwrap(), root)
    }

    /// Every way to change one place of `value`: another value, one more member, one member less.
    fn mutations(value: &Value) -> Vec<Value> {
        let mut all = Vec::new();
        match value {
            Value::Object(members) => {
                let mut more = members.clone();
                more.insert("zz".to_owned(), 1.into());
                all.push(Value::Object(more));
                for (key, member) in members {
                    let mut less = members.clone();
                    less.remove(key);
                    all.push(Value::Object(less));
                    for changed in mutations(member) {
                        let mut other = members.clone();
                        other.insert(key.clone(), changed);
                        all.push(Value::Object(other));
                    }
                }
            }
            Value::Array(items) => {
                all.push([items.as_slice(), &["zz".into()]].concat().into());
                all.push(items.iter().rev().cloned().collect());
                all.push(items.iter().chain(items.first()).cloned().collect());
                for (at, item) in items.iter().enumerate() {
                    let mut less = items.clone();
                    less.remove(at);
                    all.push(less.into());
                    for changed in mutations(item) {
                        let mut other = items.clone();
                        other[at] = changed;
                        all.push(other.into());
                    }
                }
            }
            Value::String(text) => {
                all.extend([format!("{text}0").into(), String::new().into(), 1.into()]);
                all.push(text.replace(['1', 'a'], "0").into());
                all.push(text.replace("2028", "2027").into());
            }
            Value::Number(number) => {
                let number = number.as_i64().unwrap();
                all.extend([(number + 1).into(), (number - 1).into(), 0.into(), "1".into(), Value::Null]);
            }
            Value::Bool(value) => all.extend([(!value).into(), Value::Null]),
            Value::Null => all.push(1.into()),
        }
        all.retain(|changed| changed != value);
        all
    }

    /// Whatever one place of the signed content is changed to: it is refused, or what is shown changes with it.
    #[test]
    fn nothing_is_signed_unseen() {
        let (file, root) = good();
        let good = Examined::from_root(file.clone(), &root, NOW).unwrap();
        assert_eq!(good.roles(), [KeyRole::Root, KeyRole::Targets, KeyRole::Releases, KeyRole::Pins]);
        let (mut tried, mut shown) = (0, 0);
        for role in file.roles.keys() {
            let metadata: Value = serde_json::from_str(&file.roles[role]).unwrap();
            for signed in mutations(&metadata["signed"]) {
                let mut changed = file.clone();
                let text = serde_json::json!({"signatures": [], "signed": signed}).to_string();
                changed.roles.insert(role.clone(), text);
                tried += 1;
                if let Ok(examined) = Examined::on(changed, good.base().clone(), NOW) {
                    assert!(examined.words(&[]) != good.words(&[]), "{role}: {signed}");
                    shown += 1;
                }
            }
        }
        // Dates, thresholds and keys that are left out can be shown; nearly all else cannot.
        assert!(tried > 400 && (5..tried / 10).contains(&shown), "{tried} {shown}");
    }
}

//! What proposed releases and pins list, read from the documents that travel with the proposal.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use image_format::patches::Patches;
use image_format::pin::{Assignments, Pin};
use image_format::repository::{TargetFile, TargetKind};
use image_format::{ImageName, Manifest, NodeId, Sha256};
use signing::metadata::{Extra, Hashes, Target, Targets};

use super::changes::{ContentChange, RoleChange, Turn};
use super::diff::change;
use super::short;
use crate::keys::KeyRole;

/// The documents of a proposal, and which of them were looked at.
#[derive(Debug)]
pub(super) struct Documents<'p> {
    texts: &'p BTreeMap<String, String>,
    seen: BTreeSet<String>,
}

impl<'p> Documents<'p> {
    /// The documents by file name.
    pub(super) fn new(texts: &'p BTreeMap<String, String>) -> Self {
        Self { texts, seen: BTreeSet::new() }
    }

    /// What new releases (or pins, whose images `releases` must list) say.
    pub(super) fn section(
        &mut self,
        role: KeyRole,
        old: &Targets,
        new: &Targets,
        releases: &Targets,
    ) -> anyhow::Result<RoleChange> {
        let mut told = old.clone();
        (told.version, told.expires, told.targets) = (new.version, new.expires, new.targets.clone());
        ensure!(told == *new, "the proposed {role} change something that is neither documents nor dates");
        let paths: BTreeSet<&String> = old.targets.keys().chain(new.targets.keys()).collect();
        let mut content = Vec::new();
        for path in paths {
            let (from, to) = (old.targets.get(path), new.targets.get(path));
            if from == to {
                continue;
            }
            let kind = TargetKind::of_path(path);
            let kind = kind.with_context(|| format!("the proposed {role} name {:?}", short(path)))?;
            let told = match (role, &kind) {
                (KeyRole::Releases, TargetKind::Image(name)) => vec![self.image(name, &kind, from, to)?],
                (KeyRole::Releases, TargetKind::Patches(name)) => {
                    vec![self.patches(name, &kind, from, to, new)?]
                }
                (KeyRole::Pins, TargetKind::Pin(_)) => vec![self.pin(&kind, from, to, releases)?],
                (KeyRole::Pins, TargetKind::Assignments) => self.assignments(&kind, from, to)?,
                _ => bail!("the proposed {role} name {:?}, which is not theirs", short(path)),
            };
            content.extend(told);
        }
        Ok(change(role, old, new, Vec::new(), content))
    }

    /// Refuses documents that nothing lists: whoever signs must have been shown everything in the file.
    pub(super) fn refuse_others(&self) -> anyhow::Result<()> {
        match self.texts.keys().find(|name| !self.seen.contains(*name)) {
            Some(name) => bail!("the proposal holds {:?}, which it does not list", short(name)),
            None => Ok(()),
        }
    }

    fn image(
        &mut self,
        name: &ImageName,
        kind: &TargetKind,
        from: Option<&Target>,
        to: Option<&Target>,
    ) -> anyhow::Result<ContentChange> {
        ensure!(
            from.is_none() || to.is_none(),
            "the proposed releases give {name} other content; a signed version never changes"
        );
        let digest = |target: Option<&Target>| {
            target.and_then(|target| target.hashes.get_sha256()).map(Sha256::from_bytes)
        };
        let mut counter = None;
        if let Some(target) = to {
            let text = self.read(kind, target)?;
            let manifest =
                Manifest::parse(text.as_bytes()).with_context(|| format!("read the manifest of {name}"))?;
            ensure!(manifest.name == *name, "the manifest listed for {name} is that of {}", manifest.name);
            counter = Some(manifest.counter);
        }
        Ok(ContentChange::Image {
            name: name.clone(),
            manifest: Turn::new(digest(from), digest(to)),
            counter,
        })
    }

    fn patches(
        &mut self,
        name: &ImageName,
        kind: &TargetKind,
        from: Option<&Target>,
        to: Option<&Target>,
        releases: &Targets,
    ) -> anyhow::Result<ContentChange> {
        let digest = |target: Option<&Target>| {
            target.and_then(|target| target.hashes.get_sha256()).map(Sha256::from_bytes)
        };
        let (mut starts, mut stream) = (Vec::new(), false);
        if let Some(target) = to {
            let text = self.read(kind, target)?;
            let patches =
                Patches::parse(text.as_bytes()).with_context(|| format!("read the patches to {name}"))?;
            ensure!(patches.image == *name, "the patches listed for {name} are those of {}", patches.image);
            let listed = digest(releases.targets.get(&name.target_path()));
            ensure!(
                listed == Some(patches.manifest),
                "the patches to {name} are for manifest {}, the proposed releases list {}",
                patches.manifest,
                listed.map_or_else(|| "no such image".to_owned(), |listed| listed.to_string())
            );
            (starts, stream) =
                (patches.patches.into_iter().map(|patch| patch.name).collect(), patches.stream.is_some());
        }
        let document = Turn::new(digest(from), digest(to));
        Ok(ContentChange::Patches { name: name.clone(), document, from: starts, stream })
    }

    fn pin(
        &mut self,
        kind: &TargetKind,
        from: Option<&Target>,
        to: Option<&Target>,
        releases: &Targets,
    ) -> anyhow::Result<ContentChange> {
        let TargetKind::Pin(group) = kind else { bail!("expected a pin") };
        let mut pin = |target: &Target| {
            let text = self.read(kind, target)?;
            let pin = Pin::parse(text.as_bytes()).with_context(|| format!("read the pin of {group}"))?;
            ensure!(pin.group == *group, "the pin listed for {group} is that of {}", pin.group);
            Ok(pin)
        };
        let (from, to) = (from.map(&mut pin).transpose()?, to.map(&mut pin).transpose()?);
        if let Some(pin) = &to {
            let listed = releases.targets.get(&pin.stable.name.target_path());
            let listed = listed.and_then(|target| target.hashes.get_sha256()).map(Sha256::from_bytes);
            ensure!(
                listed == Some(pin.stable.manifest),
                "the pin of {group} names {} with manifest {}, the signed releases list {}",
                pin.stable.name,
                pin.stable.manifest,
                listed.map_or_else(|| "no such image".to_owned(), |listed| listed.to_string())
            );
        }
        let image = |pin: &Option<Pin>| pin.as_ref().map(|pin| pin.stable.name.clone());
        let disk = |pin: &Option<Pin>| pin.as_ref().and_then(|pin| pin.disk.clone());
        Ok(ContentChange::Pin {
            group: group.clone(),
            image: Turn::new(image(&from), image(&to)),
            manifest: to.as_ref().map(|pin| pin.stable.manifest),
            disk: Turn::new(disk(&from), disk(&to)),
        })
    }

    fn assignments(
        &mut self,
        kind: &TargetKind,
        from: Option<&Target>,
        to: Option<&Target>,
    ) -> anyhow::Result<Vec<ContentChange>> {
        let mut read = |target: Option<&Target>| -> anyhow::Result<Assignments> {
            let Some(target) = target else { return Ok(Assignments::empty()) };
            let text = self.read(kind, target)?;
            Assignments::parse(text.as_bytes()).context("read the assignments")
        };
        let (from, to) = (read(from)?, read(to)?);
        let nodes: BTreeSet<&NodeId> = from.nodes.keys().chain(to.nodes.keys()).collect();
        let of = |node: &NodeId| Turn::new(from.nodes.get(node).cloned(), to.nodes.get(node).cloned());
        let default = (None, Turn::new(from.default.clone(), to.default.clone()));
        let all = nodes.into_iter().map(|node| (Some(node.clone()), of(node))).chain([default]);
        let changed = all.filter(|(_, group)| !group.is_same());
        Ok(changed.map(|(node, group)| ContentChange::Assignment { node, group }).collect())
    }

    /// The document that a target lists: exactly its bytes.
    fn read(&mut self, kind: &TargetKind, target: &Target) -> anyhow::Result<&'p str> {
        let sha256 = target.hashes.get_sha256().context("the proposal lists a document without SHA-256")?;
        let plain = Target {
            length: target.length,
            hashes: Hashes::sha256(&sha256),
            custom: None,
            extra: Extra::new(),
        };
        let sha256 = Sha256::from_bytes(sha256);
        let name = TargetFile { sha256, kind: kind.clone() }.to_string();
        ensure!(*target == plain, "{name}: the proposal says more of it than length and SHA-256");
        let text = self.texts.get(&name).with_context(|| format!("the proposal lacks {name}"))?;
        let found = Sha256::of(text.as_bytes());
        ensure!(found == sha256, "{name}: expected SHA-256 {sha256}, found {found}");
        ensure!(
            text.len() as u64 == target.length,
            "{name}: expected {} bytes, found {}",
            target.length,
            text.len()
        );
        self.seen.insert(name);
        Ok(text)
    }
}

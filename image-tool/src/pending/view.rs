//! What the repository says with the changes that wait.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use image_format::patches::Patches;
use image_format::pin::{Assignments, Pin};
use image_format::repository::{FLOOR_TARGET, Repository, TargetFile, TargetKind, View, read_floors};
use image_format::store::Store;
use image_format::{Manifest, Sha256};
use signing::metadata::Target;
use signing::repo::{Repository as Model, Section};

use super::{Pending, parse};

/// The view of `model`, which is what `base` says (none: nothing was ever completed) with `pending` accepted.
pub(crate) fn view(
    base: Option<View>,
    model: &Model,
    pending: &Pending,
    store: &Store,
) -> anyhow::Result<View> {
    let documents = Documents { waiting: pending.files().targets, repository: Repository::open(store) };
    let (mut images, mut patches) = (BTreeMap::new(), BTreeMap::new());
    let (mut pins, mut assignments) = (BTreeMap::new(), Assignments::empty());
    let listed =
        [Section::Releases, Section::Pins].into_iter().flat_map(|section| &model.section(section).targets);
    for (path, target) in listed {
        let kind = TargetKind::of_path(path).with_context(|| format!("{path}: unknown kind of target"))?;
        let (digest, bytes) = documents.read(kind.clone(), target)?;
        match kind {
            TargetKind::Image(name) => {
                let manifest = Manifest::parse(&bytes).with_context(|| path.clone())?;
                images.insert(name, (digest, manifest));
            }
            TargetKind::Patches(name) => {
                patches.insert(name, Patches::parse(&bytes).with_context(|| path.clone())?);
            }
            TargetKind::Pin(group) => {
                pins.insert(group, Pin::parse(&bytes).with_context(|| path.clone())?);
            }
            TargetKind::Assignments => {
                assignments = Assignments::parse(&bytes).with_context(|| path.clone())?;
            }
        }
    }
    let floor = model.section(Section::Targets).targets.get(FLOOR_TARGET);
    let floors = floor.map_or(Ok(BTreeMap::new()), |target| read_floors(target.custom.as_ref()))?;
    let (mut versions, mut expiries, mut digests) =
        base.map(|base| (base.versions, base.expiries, base.digests)).unwrap_or_default();
    let root = model.root().clone();
    versions.insert("root".to_owned(), root.version);
    expiries.insert("root".to_owned(), root.expires);
    for section in [Section::Targets, Section::Releases, Section::Pins] {
        let (role, content) = (section.role().as_str(), model.section(section));
        versions.insert(role.to_owned(), content.version);
        expiries.insert(role.to_owned(), content.expires);
    }
    for (name, bytes) in &pending.files().metadata {
        if let Some(file) = parse(name)
            && versions.get(&file.role).copied() == file.version
        {
            digests.insert(file.role, Sha256::of(bytes));
        }
    }
    Ok(View {
        images,
        patches,
        pins,
        assignments,
        floors,
        expiries,
        versions,
        digests,
        root_version: root.version,
        root,
    })
}

struct Documents<'s> {
    waiting: BTreeMap<String, Vec<u8>>,
    repository: Repository<'s>,
}

impl Documents<'_> {
    fn read(&self, kind: TargetKind, target: &Target) -> anyhow::Result<(Sha256, Vec<u8>)> {
        let digest = target.hashes.get_sha256().map(Sha256::from_bytes);
        let sha256 = digest.with_context(|| format!("{kind:?} is listed without a SHA-256"))?;
        let name = TargetFile { sha256, kind }.to_string();
        let bytes = match self.waiting.get(&name) {
            Some(bytes) => Some(bytes.clone()),
            None => self.repository.read_target(&name)?,
        };
        let bytes = bytes.with_context(|| format!("{name} is listed, but not here"))?;
        let found = Sha256::of(&bytes);
        ensure!(found == sha256, "{name}: content has SHA-256 {found}");
        Ok((sha256, bytes))
    }
}

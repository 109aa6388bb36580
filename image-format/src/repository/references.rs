//! Everything that the metadata refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use signing::limits::TARGETS_MAX_LEN;
use signing::metadata::{Envelope, Targets as TargetsRole};

use super::collect_error::CollectError;
use super::listing::{Listed, Targets};
use super::names::{MetadataFile, TargetFile, TargetKind};
use super::{Repository, View};
use crate::index::{INDEX_MAX, Index};
use crate::manifest::ObjectRef;
use crate::patch::{SegmentTable, TABLE_MAX};
use crate::patches::Patches;
use crate::store::{Store, StoreError};
use crate::{Manifest, ObjectId, Sha256};

/// Is told of every object that something refers to, often of the same.
pub(super) type Found<'f> = dyn FnMut(ObjectRef) + 'f;

/// Calls `found` for every object of an image.
pub(super) fn of_image(
    store: &Store,
    manifest: &Manifest,
    found: &mut Found<'_>,
) -> Result<(), CollectError> {
    for (_, object) in manifest.objects() {
        found(object);
    }
    let (what, id) = (format!("the index of {}", manifest.name), manifest.root.index.id);
    let bytes = read(store, &what, id, INDEX_MAX)?;
    let index = Index::parse(&bytes).map_err(|source| CollectError::Index { what, id, source })?;
    for entry in index.objects() {
        found(ObjectRef { id: entry.object, size: entry.stored_len.into() });
    }
    Ok(())
}

/// Calls `found` for every object of the patches to an image.
pub(super) fn of_patches(
    store: &Store,
    patches: &Patches,
    found: &mut Found<'_>,
) -> Result<(), CollectError> {
    for (_, object) in patches.objects() {
        found(object);
    }
    for (table, _) in patches.tables() {
        let (what, id) = (format!("a segment table of {}", patches.image), table.id);
        let bytes = read(store, &what, id, TABLE_MAX)?;
        let table = SegmentTable::parse(&bytes);
        let table = table.map_err(|source| CollectError::Table { what, id, source: Box::new(source) })?;
        for segment in table.segments() {
            found(ObjectRef { id: segment.object, size: segment.stored_len.into() });
        }
    }
    Ok(())
}

/// Calls `found` for everything that is published. A new kind of reference is a line here.
pub(super) fn of_view(store: &Store, view: &View, found: &mut Found<'_>) -> Result<(), CollectError> {
    view.images.values().try_for_each(|(_, manifest)| of_image(store, manifest, found))?;
    view.patches.values().try_for_each(|patches| of_patches(store, patches, found))
}

/// Calls `found` for what was published before and has been replaced since `since`: nodes may still be at it.
///
/// Those files were verified when they were published, and are not again: keys may have changed, and at worst too much is kept. What
/// cannot be read any more, nobody else can read either.
pub(super) fn of_earlier(
    repository: &Repository<'_>,
    view: &View,
    since: SystemTime,
    found: &mut Found<'_>,
) -> Result<(), StoreError> {
    let mut versions: Vec<(u64, String)> = Vec::new();
    for name in repository.metadata_names()? {
        if let Ok(MetadataFile { version: Some(version), role }) = name.parse()
            && role == "releases"
        {
            versions.push((version, name));
        }
    }
    versions.sort();
    let mut seen: BTreeSet<Sha256> = view.images.values().map(|(digest, _)| *digest).collect();
    for pair in versions.windows(2) {
        // Replaced when the next one came.
        let next = repository.metadata_path(&pair[1].1);
        let replaced = std::fs::metadata(&next).and_then(|metadata| metadata.modified());
        if replaced.is_ok_and(|replaced| replaced < since) {
            continue;
        }
        for listed in listed(repository, &pair[0].1)? {
            if seen.insert(listed.file.sha256) {
                // Best effort, see above.
                let _ = of_listed(repository, &listed, found);
            }
        }
    }
    Ok(())
}

fn listed(repository: &Repository<'_>, name: &str) -> Result<Vec<Listed>, StoreError> {
    let Some(bytes) = repository.read_metadata(name)? else { return Ok(Vec::new()) };
    let role = Envelope::parse("releases", &bytes, TARGETS_MAX_LEN);
    let Ok(role) = role.and_then(|envelope| envelope.read::<TargetsRole>()) else { return Ok(Vec::new()) };
    let listed = role.targets.iter().filter_map(|(path, target)| {
        let (kind, sha256) = (TargetKind::of_path(path)?, target.hashes.get_sha256()?);
        Some(Listed { file: TargetFile { sha256: Sha256::from_bytes(sha256), kind }, length: target.length })
    });
    Ok(listed.collect())
}

fn of_listed(
    repository: &Repository<'_>,
    listed: &Listed,
    found: &mut Found<'_>,
) -> Result<(), CollectError> {
    let sent = BTreeMap::new();
    let bytes = Targets { repository, sent: &sent }.bytes(listed).map_err(super::LoadError::from)?;
    let store = repository.store;
    match &listed.file.kind {
        TargetKind::Image(_) => {
            Manifest::parse(&bytes).map_or(Ok(()), |image| of_image(store, &image, found))
        }
        TargetKind::Patches(_) => {
            Patches::parse(&bytes).map_or(Ok(()), |patches| of_patches(store, &patches, found))
        }
        TargetKind::Pin(_) | TargetKind::Assignments => Ok(()),
    }
}

fn read(store: &Store, what: &str, id: ObjectId, max: u64) -> Result<Vec<u8>, CollectError> {
    store.read(id, max).map_err(|source| CollectError::Read { what: what.to_owned(), source })
}

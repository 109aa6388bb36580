//! The rules for what a commit may list.

use std::collections::HashSet;

use super::CommitError;
use super::listing::{Listed, Listing, Targets};
use crate::index::{INDEX_MAX, Index};
use crate::patch::{SegmentTable, TABLE_MAX, decode_index_patch};
use crate::patches::Patch;
use crate::store::{Store, StoreError};
use crate::{ImageName, Manifest, ObjectId};

/// Images that `new` lists and `old` does not. An image that both list must be the same.
pub(super) fn new_images<'n>(
    old: Option<&Listing>,
    new: &'n Listing,
) -> Result<Vec<(&'n ImageName, &'n Listed)>, CommitError> {
    let mut added = Vec::new();
    for (name, listed) in &new.images {
        match old.and_then(|old| old.images.get(name)) {
            None => added.push((name, listed)),
            Some(known) if known.file == listed.file => {}
            Some(known) => {
                let (published, offered) = (known.file.sha256, listed.file.sha256);
                return Err(CommitError::Republished { image: name.clone(), published, offered });
            }
        }
    }
    Ok(added)
}

/// The manifest of a new image is in order, and the store has every object that a node will ask for.
pub(super) fn image(
    store: &Store,
    targets: &Targets<'_>,
    name: &ImageName,
    listed: &Listed,
) -> Result<(), CommitError> {
    let manifest = targets.manifest(name, listed)?;
    let mut census = Census { store, seen: HashSet::new(), missing: Vec::new() };
    for (what, object) in manifest.objects() {
        census.count(what, object.id, object.size)?;
    }
    census.finish(name)?;
    let index = read_index(store, &manifest)?;
    for entry in index.objects() {
        census.count("chunk", entry.object, entry.stored_len.into())?;
    }
    census.finish(name)
}

/// Patches that are new fit the images that they are for, and the store has every object that a node will ask for.
///
/// The image itself has been checked, by this commit or by the one that brought it. What segments decode to is not looked at: nodes
/// believe it entry by entry.
pub(super) fn patches(
    store: &Store,
    targets: &Targets<'_>,
    listing: &Listing,
    name: &ImageName,
    listed: &Listed,
) -> Result<(), CommitError> {
    let document = targets.patches(listing, name, listed)?;
    let mut census = Census { store, seen: HashSet::new(), missing: Vec::new() };
    for (what, object) in document.objects() {
        census.count(what, object.id, object.size)?;
    }
    census.finish(name)?;
    let Some(image) = listing.images.get(name) else { return Ok(()) };
    let target = Known::read(store, targets.manifest(name, image)?)?;
    if let Some(stream) = &document.stream {
        table(store, &mut census, &target, None, (stream.table.id, stream.bytes))?;
    }
    for patch in &document.patches {
        let base = listing.images.iter().find(|(_, image)| image.file.sha256 == patch.from);
        let Some((base, image)) = base else {
            let (image, from, manifest) = (name.clone(), Box::new(patch.name.clone()), patch.from);
            return Err(CommitError::PatchBase { image, from, manifest });
        };
        let base = Known::read(store, targets.manifest(base, image)?)?;
        table(store, &mut census, &target, Some(&base), (patch.table.id, patch.bytes))?;
        index_patch(store, &target, &base, patch)?;
    }
    census.finish(name)
}

/// An image whose index has been read.
struct Known {
    manifest: Manifest,
    index: Index,
}

impl Known {
    fn read(store: &Store, manifest: Manifest) -> Result<Self, CommitError> {
        let index = read_index(store, &manifest)?;
        Ok(Self { manifest, index })
    }

    fn indexed(&self) -> (ObjectId, &Index) {
        (self.manifest.root.index.id, &self.index)
    }
}

fn table(
    store: &Store,
    census: &mut Census<'_>,
    target: &Known,
    base: Option<&Known>,
    (id, bytes): (ObjectId, u64),
) -> Result<(), CommitError> {
    let refuse = |source| CommitError::Table {
        image: target.manifest.name.clone(),
        table: id,
        source: Box::new(source),
    };
    let table = SegmentTable::parse(&store.read(id, TABLE_MAX)?).map_err(refuse)?;
    table.check(target.indexed(), base.map(Known::indexed)).map_err(refuse)?;
    let (image, found) = (target.manifest.name.clone(), table.stored_bytes());
    if table.base().is_some() != base.is_some() || found != bytes {
        return Err(CommitError::TableBytes { image, table: id, expected: bytes, found });
    }
    for segment in table.segments() {
        census.count("segment", segment.object, segment.stored_len.into())?;
    }
    Ok(())
}

fn index_patch(store: &Store, target: &Known, base: &Known, patch: &Patch) -> Result<(), CommitError> {
    let stored = store.read(patch.index.id, patch.index.size)?;
    let index = target.manifest.root.index;
    let made = decode_index_patch(&stored, &base.index.encode(), index.size);
    if made.is_ok_and(|made| ObjectId::of(&made) == index.id) {
        return Ok(());
    }
    let (image, from) = (target.manifest.name.clone(), Box::new(patch.name.clone()));
    Err(CommitError::IndexPatch { image, from, patch: patch.index.id })
}

fn read_index(store: &Store, manifest: &Manifest) -> Result<Index, CommitError> {
    let image = || manifest.name.clone();
    let bytes = store.read(manifest.root.index.id, INDEX_MAX)?;
    let index = Index::parse(&bytes).map_err(|source| CommitError::Index { image: image(), source })?;
    let (expected, found) = (manifest.root.size, index.plain_size());
    if expected == found {
        Ok(index)
    } else {
        Err(CommitError::IndexSize { image: image(), expected, found })
    }
}

/// Which objects are there, in the right size; each is looked at once.
struct Census<'s> {
    store: &'s Store,
    seen: HashSet<ObjectId>,
    missing: Vec<(&'static str, ObjectId)>,
}

impl Census<'_> {
    fn count(&mut self, what: &'static str, id: ObjectId, size: u64) -> Result<(), CommitError> {
        if !self.seen.insert(id) {
            return Ok(());
        }
        match self.store.size(id) {
            Ok(Some(found)) if found == size => {}
            Ok(_) | Err(StoreError::NotAFile { .. }) => self.missing.push((what, id)),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn finish(&self, image: &ImageName) -> Result<(), CommitError> {
        let Some(&(what, first)) = self.missing.first() else { return Ok(()) };
        let (image, missing, total) = (image.clone(), self.missing.len(), self.seen.len());
        Err(CommitError::MissingObjects { image, missing, total, what, first })
    }
}

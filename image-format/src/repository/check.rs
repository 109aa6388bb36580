//! The rules for what a commit may list.

use std::collections::HashSet;

use super::CommitError;
use super::listing::{Listed, Listing, Targets};
use crate::index::{INDEX_MAX, Index};
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

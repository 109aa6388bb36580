//! What a store should have and has not.

use std::collections::BTreeMap;

use super::collect_error::CollectError;
use super::references;
use super::{LoadError, load_view};
use crate::manifest::ObjectRef;
use crate::store::{Store, StoreError};
use crate::{Manifest, ObjectId};

/// Objects that the metadata of `store`, or one of `images`, refers to and that are not in it; an object in another size is not.
/// What only a missing index, or a missing segment table, would name is found when that is there again.
///
/// # Errors
/// [`LoadError`] when what is published does not verify; [`StoreError`]. Nothing published is no error.
pub fn lacking(store: &Store, images: &[Manifest]) -> Result<Vec<ObjectRef>, LackingError> {
    let mut lacking: BTreeMap<ObjectId, ObjectRef> = BTreeMap::new();
    let mut failure = None;
    let mut found = |object: ObjectRef| match store.size(object.id) {
        Ok(Some(size)) if size == object.size => {}
        Ok(_) | Err(StoreError::NotAFile { .. }) => drop(lacking.insert(object.id, object)),
        Err(error) => drop(failure.get_or_insert(error)),
    };
    let view = load_view(store)?;
    let published = view.iter().flat_map(|view| view.images.values().map(|(_, manifest)| manifest));
    for manifest in published.chain(images) {
        known(references::of_image(store, manifest, &mut found))?;
    }
    for patches in view.iter().flat_map(|view| view.patches.values()) {
        known(references::of_patches(store, patches, &mut found))?;
    }
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(lacking.into_values().collect()),
    }
}

/// Why it is not known what a store lacks.
#[derive(Debug, thiserror::Error)]
pub enum LackingError {
    /// The metadata cannot be verified.
    #[error("what is published cannot be verified")]
    Load(#[from] LoadError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is missing or damaged has been told, and hides what it would name.
fn known(walked: Result<(), CollectError>) -> Result<(), LackingError> {
    match walked {
        Err(CollectError::Read { source: source @ StoreError::Io { .. }, .. }) => Err(source.into()),
        Err(CollectError::Load(error)) => Err(error.into()),
        Err(CollectError::Store(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

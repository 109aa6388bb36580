//! Whether what a slot holds was ever released.
//!
//! At a boot nothing may depend on a server or on the time, but something must depend on the root in the initramfs: else whoever could
//! write the disk once, as root on the running node can, would own the node from then on. So the slot carries the signed list
//! that names its manifest, and is started only if that verifies.

use std::collections::BTreeMap;

use image_format::document::DocumentError;
use image_format::evidence::Evidence;
use image_format::record::Record;
use image_format::{ImageName, Sha256};
use signing::TrustError;
use signing::client::signed_target;

use super::trusted::chain;

/// Why an image counts as not released.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The evidence is no document, or of an unknown format.
    #[error("evidence cannot be read")]
    Document(#[from] DocumentError),
    /// It is not signed by those whom the root in the initramfs trusts.
    #[error("evidence is not trusted")]
    Trust(#[from] TrustError),
    /// It is signed, and does not list the image.
    #[error("the signed list does not name {0}")]
    NotListed(ImageName),
    /// It lists another image of that name.
    #[error("{name}: the signed list says manifest {listed}, the slot holds {found}")]
    Other {
        /// The image.
        name: ImageName,
        /// What was signed.
        listed: Sha256,
        /// What the slot holds.
        found: Sha256,
    },
}

/// Checks that the image `name` with the manifest `digest` was released: by the `evidence` in its slot, or by the newest metadata
/// that `record` keeps. The latter is for an initramfs with a newer root, under which the slot's own no longer counts
/// because a key was replaced since.
///
/// # Errors
/// [`EvidenceError`] of the slot's own evidence.
pub fn check(
    embedded: &[u8],
    evidence: &[u8],
    record: &Record,
    name: &ImageName,
    digest: Sha256,
) -> Result<(), EvidenceError> {
    let own = Evidence::parse(evidence)
        .map_err(EvidenceError::from)
        .and_then(|evidence| proves(embedded, &evidence, name, digest));
    own.or_else(|error| match Evidence::of(record) {
        Some(newest) => proves(embedded, &newest, name, digest).map_err(|_| error),
        None => Err(error),
    })
}

/// Checks one piece of evidence.
///
/// # Errors
/// [`EvidenceError`].
pub fn proves(
    embedded: &[u8],
    evidence: &Evidence,
    name: &ImageName,
    digest: Sha256,
) -> Result<(), EvidenceError> {
    let roots = chain(embedded, &evidence.roots);
    let root = roots.last().map_or(embedded, |root| root.as_bytes());
    let releases = BTreeMap::from([("releases".to_owned(), evidence.releases.clone().into_bytes())]);
    let target = signed_target(root, evidence.targets.as_bytes(), &releases, &name.target_path())?;
    let target = target.ok_or_else(|| EvidenceError::NotListed(name.clone()))?;
    let listed = Sha256::from_bytes(target.sha256()?);
    if listed == digest {
        Ok(())
    } else {
        Err(EvidenceError::Other { name: name.clone(), listed, found: digest })
    }
}

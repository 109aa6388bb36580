//! Why something is not published.

use signing::{RefreshError, TrustError};

use super::names::FileNameError;
use super::online::OnlineFault;
use crate::document::DocumentError;
use crate::index::IndexError;
use crate::patch::PatchError;
use crate::pin::PinnedImage;
use crate::store::StoreError;
use crate::{Group, ImageName, ObjectId, Sha256};

/// What is listed, or the files behind it, is not what Bascule publishes.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The metadata is not trusted.
    #[error("metadata is not trusted")]
    Trust(#[from] TrustError),
    /// A role of the design is missing, or the names of files have no versions.
    #[error("metadata: expected {expected}")]
    Layout {
        /// What must be there.
        expected: &'static str,
    },
    /// A role lists a path that is no image, patches, pin or assignments.
    #[error(
        "{role} lists {path:?}: expected images/<role>@<version>.json, images/@patches.<role>@<version>.json, pins/<group>.json or pins/@assignments.json"
    )]
    Path {
        /// The role.
        role: &'static str,
        /// The path.
        path: String,
    },
    /// A listed file is not there.
    #[error("{file} is listed, but neither sent nor in the store")]
    Missing {
        /// Its name below `tuf/targets/`.
        file: String,
    },
    /// A listed file has another length than listed.
    #[error("{file}: expected {expected} bytes, found {found}")]
    Length {
        /// Its name below `tuf/targets/`.
        file: String,
        /// Listed length in bytes.
        expected: u64,
        /// Its length in bytes.
        found: u64,
    },
    /// A listed file has another content than its name says.
    #[error("{file}: content has SHA-256 {found}")]
    Digest {
        /// Its name below `tuf/targets/`.
        file: String,
        /// SHA-256 of its content.
        found: Sha256,
    },
    /// A listed file does not parse.
    #[error("{file} cannot be used")]
    Document {
        /// Its name below `tuf/targets/`.
        file: String,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// A manifest or pin speaks of something else than the path it is listed under.
    #[error("{file}: content is for {found}")]
    OtherName {
        /// Its name below `tuf/targets/`.
        file: String,
        /// The name inside.
        found: String,
    },
    /// Patches to an image that is not listed, or is listed with another manifest.
    #[error(
        "patches to {image}: made for manifest {named}, published is {}",
        match listed { Some(sha256) => sha256.to_string(), None => "no such image".to_owned() }
    )]
    PatchesImage {
        /// The image.
        image: Box<ImageName>,
        /// Manifest that the patches are for.
        named: Sha256,
        /// Manifest in `releases`.
        listed: Option<Sha256>,
    },
    /// A pin names an image that is not listed.
    #[error("pin of {group}: image {image} is not published")]
    PinUnlisted {
        /// The group.
        group: Group,
        /// The image.
        image: ImageName,
    },
    /// A pin names a listed image with another manifest.
    #[error("pin of {group}: image {} is published with manifest {listed}, the pin says {}", pinned.name, pinned.manifest)]
    PinDigest {
        /// The group.
        group: Group,
        /// Image and manifest in the pin.
        pinned: Box<PinnedImage>,
        /// Manifest in `releases`.
        listed: Sha256,
    },
    /// The release-counter floors have another shape than `{"bascule":{"floors":{"<role>":N}}}`.
    #[error("target floor: expected {{\"bascule\":{{\"floors\":{{\"<role>\":N}}}}}}, found {found}")]
    Floors {
        /// What was found, cut to 200 characters.
        found: String,
    },
    /// The files cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why what is in the store cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is a timestamp, but no `1.root.json`.
    #[error("1.root.json is missing: nothing can be verified")]
    NoRoot,
    /// See [`ContentError`].
    #[error(transparent)]
    Content(#[from] ContentError),
}

/// Why a commit was refused. Readers see what they saw before, except after a failed `fsync` of the very last step.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A file whose name does not fit.
    #[error("file name")]
    Name(#[from] FileNameError),
    /// A file beyond the limit for its kind.
    #[error("{file}: expected at most {max} bytes, found {found}")]
    TooLarge {
        /// Its name.
        file: String,
        /// Limit in bytes.
        max: u64,
        /// Its length in bytes.
        found: u64,
    },
    /// What is published now cannot be loaded, so that nothing can follow from it.
    #[error("the store's present metadata cannot be loaded")]
    Present(#[source] LoadError),
    /// Without a timestamp nothing takes effect.
    #[error("timestamp.json is missing")]
    NoTimestamp,
    /// The first commit brings the root that is trusted from then on.
    #[error("nothing is published yet, and 1.root.json is missing")]
    NoRoot,
    /// The same version of a file that is in use has other content.
    #[error("{file} is published already, with other content")]
    Conflict {
        /// The file.
        file: String,
    },
    /// The sender has changed another version of a role than the one that is published.
    #[error(
        "{role}: the change was made on the file with SHA-256 {base}, published is {}; somebody else has published in between",
        match published { Some(sha256) => sha256.to_string(), None => "none".to_owned() }
    )]
    Base {
        /// The role.
        role: String,
        /// What the sender has changed.
        base: Sha256,
        /// What is published; none before the first publication, and for a role that does not exist.
        published: Option<Sha256>,
    },
    /// Snapshot and timestamp could not be signed here.
    #[error("snapshot and timestamp cannot be signed online")]
    Online(#[from] OnlineFault),
    /// An image that is listed already shall become another one.
    #[error("image {image} is published already with manifest {published}, refused with {offered}")]
    Republished {
        /// The image.
        image: ImageName,
        /// Manifest digest listed now.
        published: Sha256,
        /// Manifest digest offered.
        offered: Sha256,
    },
    /// Objects of a new image are not in the store.
    #[error(
        "image {image}: {missing} of its {total} objects are missing from the store, the first is {what} {first}"
    )]
    MissingObjects {
        /// The image.
        image: ImageName,
        /// How many are missing, or have another size.
        missing: usize,
        /// How many there should be.
        total: usize,
        /// Artifact of the first one.
        what: &'static str,
        /// The first one.
        first: ObjectId,
    },
    /// The index of a new image is not one.
    #[error("image {image}: the index cannot be used")]
    Index {
        /// The image.
        image: ImageName,
        /// What is wrong with it.
        source: IndexError,
    },
    /// A patch starts from an image that is not listed.
    #[error("patches to {image}: one starts from {from} with manifest {manifest}, which is not published")]
    PatchBase {
        /// The image that the patches make.
        image: ImageName,
        /// The name of the other one, as the list says it.
        from: Box<ImageName>,
        /// Its manifest digest.
        manifest: Sha256,
    },
    /// A segment table is none, or does not fit the images.
    #[error("patches to {image}: table {table} cannot be used")]
    Table {
        /// The image that the patches make.
        image: ImageName,
        /// The table.
        table: ObjectId,
        /// What is wrong with it.
        source: Box<PatchError>,
    },
    /// A segment table is not what the list says of it.
    #[error(
        "patches to {image}: table {table}: expected segments of {expected} bytes, on a base only where one is named; found {found}"
    )]
    TableBytes {
        /// The image that the patches make.
        image: ImageName,
        /// The table.
        table: ObjectId,
        /// Stored bytes in the list.
        expected: u64,
        /// Stored bytes in the table.
        found: u64,
    },
    /// The patch of an index does not make the image's index.
    #[error("patches to {image}: index patch {patch} does not make its index from that of {from}")]
    IndexPatch {
        /// The image.
        image: ImageName,
        /// The image that the patch starts from.
        from: Box<ImageName>,
        /// The patch.
        patch: ObjectId,
    },
    /// The index of a new image covers another size than the manifest says.
    #[error("image {image}: expected an index of {expected} bytes of root file system, found {found}")]
    IndexSize {
        /// The image.
        image: ImageName,
        /// Size in the manifest.
        expected: u64,
        /// Size in the index.
        found: u64,
    },
    /// See [`ContentError`].
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The files cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CommitError {
    /// Whether somebody else has published in the meantime, or the same thing differently: look again, then decide. Else a
    /// refusal is for good, except for [`CommitError::is_internal`].
    pub fn is_conflict(&self) -> bool {
        use TrustError::{Dropped, Rollback, RootVersion};
        match self {
            Self::Conflict { .. } | Self::Base { .. } | Self::Republished { .. } => true,
            Self::Content(ContentError::Trust(trust)) => {
                matches!(trust, Rollback { .. } | Dropped { .. } | RootVersion { .. })
            }
            _ => false,
        }
    }

    /// Whether the store is at fault, not what was sent.
    pub fn is_internal(&self) -> bool {
        match self {
            Self::Store(_) | Self::Content(ContentError::Store(_)) | Self::Present(_) => true,
            Self::Online(fault) => !fault.is_not_listed(),
            _ => false,
        }
    }
}

impl From<RefreshError<StoreError>> for ContentError {
    fn from(error: RefreshError<StoreError>) -> Self {
        match error {
            RefreshError::Fetch { source, .. } => Self::Store(source),
            RefreshError::Trust(trust) => Self::Trust(trust),
        }
    }
}

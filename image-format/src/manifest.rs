//! The manifest: the one signed description of an image, from which everything else is checked.
//!
//! It travels as OLPC canonical JSON, a TUF target named `images/role@version.json` under the `releases` delegation. The
//! SHA-256 of those bytes is the image's identity. Reading is strict: unknown fields are refused, because an old agent
//! must not run an image whose requirements it does not understand.

mod check;
pub mod provenance;

use serde::{Deserialize, Serialize};

pub use self::check::{
    BIOS_MAX, CHECKS_MAX, CMDLINE_MAX, ETC_STATE_MAX, FILES_MAX, INITRAMFS_MAX, KERNEL_MAX, PACKAGES_MAX,
    ROOT_MAX, SBOM_MAX,
};
pub use self::provenance::Provenance;
use crate::document::{Document, DocumentError};
use crate::{ImageName, ObjectId, Sha256};

/// Largest manifest read, in bytes. A larger one is refused before parsing (endless data).
pub const MANIFEST_MAX: u64 = 2 << 20;

/// The value of [`Manifest::format`] that this code writes.
///
/// It also reads format 1, which had neither [`Manifest::sbom`] nor [`Manifest::provenance`], and writes it back to the same
/// bytes. Any other format is refused by its number, before its fields are looked at.
pub const MANIFEST_FORMAT: u32 = 2;

/// A stored object: its digest and exact size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectRef {
    /// Digest of the stored bytes.
    pub id: ObjectId,
    /// Stored size in bytes.
    pub size: u64,
}

/// One immutable build of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`], or 1 in an older one.
    pub format: u32,
    /// `role@version`.
    pub name: ImageName,
    /// Machine architecture in Debian's words, `amd64`.
    pub arch: String,
    /// Hardware class that the image fits; `generic` fits all.
    pub class: String,
    /// Release counter: grows with every image of a role; orders versions; compared with the floor.
    pub counter: u64,
    /// Seconds since 1970 that every file date was clamped to (`SOURCE_DATE_EPOCH`).
    pub epoch: i64,
    /// The root file system.
    pub root: Root,
    /// The kernel and how to start it.
    pub kernel: Kernel,
    /// The initramfs: agent and modules.
    pub initramfs: ObjectRef,
    /// GRUB's images for booting from the local disk by BIOS; absent where the image cannot.
    pub bios: Option<BiosBoot>,
    /// Disk sizes.
    pub disk: DiskSizes,
    /// What must hold before the slot is confirmed.
    pub health: Health,
    /// Paths below `/etc` that persist on the state partition, relative to `/etc`.
    pub etc_state: Vec<String>,
    /// Debian packages in the root.
    pub packages: Vec<Package>,
    /// The list of files in the root with their digests (zstd, one JSON object a line); for comparison only.
    pub files: ObjectRef,
    /// The software bill of materials (zstd, SPDX 2.3 JSON); none in format 1 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom: Option<ObjectRef>,
    /// What the image was made of; none in format 1 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
}

impl Manifest {
    /// Reads a manifest from bytes that anybody may have sent.
    ///
    /// # Errors
    /// [`DocumentError`]: larger than [`MANIFEST_MAX`], not strict JSON, unknown or missing fields, values out of range.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        Self::read(bytes)
    }

    /// The canonical bytes; their SHA-256 is the image's identity. Refuses what [`Manifest::parse`] would refuse.
    ///
    /// # Errors
    /// As [`Manifest::validate`], and [`DocumentError::Json`] when the bytes would exceed [`MANIFEST_MAX`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, DocumentError> {
        self.write()
    }

    /// Checks every rule beyond the shape: sizes, ranges, characters.
    ///
    /// # Errors
    /// [`DocumentError::Field`] names the first field that is not acceptable.
    pub fn validate(&self) -> Result<(), DocumentError> {
        self.check()
    }

    /// The objects of this image besides the chunks that its index lists, each with the name of the artifact.
    pub fn objects(&self) -> impl Iterator<Item = (&'static str, ObjectRef)> {
        check::objects(self)
    }
}

/// The root file system: an EROFS image and its verity parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Size of the EROFS image in bytes, a multiple of [`crate::BLOCK`].
    pub size: u64,
    /// The index of its chunks.
    pub index: ObjectRef,
    /// dm-verity, hash type 1, SHA-256, 4096-byte blocks, no superblock, the tree directly behind the data.
    pub verity: Verity,
}

/// dm-verity parameters that are not constants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verity {
    /// The root hash.
    pub root_hash: Sha256,
    /// The salt.
    pub salt: Sha256,
}

/// A kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// What `uname -r` prints.
    pub release: String,
    /// The kernel file.
    pub object: ObjectRef,
    /// The role's kernel command line, without the `bascule.` words.
    pub cmdline: String,
}

/// GRUB's two images for a BIOS machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BiosBoot {
    /// The first 440 bytes of the disk (unpatched `boot.img`) followed by the core image.
    pub object: ObjectRef,
}

/// Disk sizes in MiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskSizes {
    /// Size of each slot partition when the disk is laid out.
    pub slot_mib: u64,
    /// Smallest acceptable state partition.
    pub state_mib: u64,
}

/// The health gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// How often a fresh image may be tried before the node falls back; at least 1.
    pub attempts: u8,
    /// Seconds from the start of the health service to a verdict; then the attempt has failed.
    pub deadline_s: u32,
    /// The checks. All must pass.
    pub checks: Vec<Check>,
}

/// One health check. It is repeated until it passes or the deadline is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Name in reports.
    pub name: String,
    /// Seconds that one try may take.
    pub timeout_s: u32,
    /// What is probed.
    pub probe: Probe,
}

/// What a health check probes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Probe {
    /// A systemd unit is active.
    Unit(String),
    /// A command exits with 0.
    Command(Vec<String>),
    /// A TCP connection to `host:port` is accepted.
    Tcp(String),
    /// `GET` of a plain `http://` URL answers 2xx.
    Http(String),
}

/// An installed Debian package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Binary package name.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// Debian architecture.
    pub arch: String,
}

#[cfg(test)]
pub(crate) mod tests;

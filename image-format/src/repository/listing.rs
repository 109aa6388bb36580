//! What verified metadata lists, in the words of Bascule.

use std::collections::BTreeMap;

use signing::client::{Client, TargetInfo};

use super::names::{TargetFile, TargetKind};
use super::{ContentError, Repository};
use crate::document::DocumentError;
use crate::patches::Patches;
use crate::pin::{Assignments, Pin};
use crate::{Group, ImageName, Manifest, Role, Sha256};

/// Path of the top-level target that carries the release-counter floors.
pub const FLOOR_TARGET: &str = "floor";

/// A listed file: its name, and what its bytes must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) file: TargetFile,
    pub(super) length: u64,
}

/// Everything that is listed.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    pub(super) images: BTreeMap<ImageName, Listed>,
    pub(super) patches: BTreeMap<ImageName, Listed>,
    pub(super) pins: BTreeMap<Group, Listed>,
    pub(super) assignments: Option<Listed>,
}

impl Listing {
    /// Reads a client that has loaded all roles.
    pub(super) fn of(client: &Client) -> Result<Self, ContentError> {
        let mut listing = Self::default();
        for role in ["releases", "pins"] {
            if client.role(role).is_none() {
                return Err(ContentError::Layout { expected: "the delegated roles releases and pins" });
            }
            for target in client.targets_of(role)? {
                listing.add(role, target)?;
            }
        }
        Ok(listing)
    }

    /// All listed files.
    pub(super) fn files(&self) -> impl Iterator<Item = &Listed> {
        self.images.values().chain(self.patches.values()).chain(self.pins.values()).chain(&self.assignments)
    }

    fn add(&mut self, role: &'static str, target: TargetInfo) -> Result<(), ContentError> {
        let Some(kind) = TargetKind::of_path(&target.path) else {
            return Err(ContentError::Path { role, path: target.path.chars().take(120).collect() });
        };
        let file = TargetFile { sha256: Sha256::from_bytes(target.sha256()?), kind };
        let listed = Listed { file, length: target.length };
        match (role, listed.file.kind.clone()) {
            ("releases", TargetKind::Image(name)) => drop(self.images.insert(name, listed)),
            ("releases", TargetKind::Patches(name)) => drop(self.patches.insert(name, listed)),
            ("pins", TargetKind::Pin(group)) => drop(self.pins.insert(group, listed)),
            ("pins", TargetKind::Assignments) => self.assignments = Some(listed),
            _ => return Err(ContentError::Path { role, path: target.path }),
        }
        Ok(())
    }
}

/// Where listed files are read from: what was sent, else what is in the store.
pub(super) struct Targets<'a> {
    pub(super) repository: &'a Repository<'a>,
    pub(super) sent: &'a BTreeMap<String, Vec<u8>>,
}

impl Targets<'_> {
    /// The bytes of a listed file: those that were listed.
    pub(super) fn bytes(&self, listed: &Listed) -> Result<Vec<u8>, ContentError> {
        let file = listed.file.to_string();
        let bytes = match self.sent.get(&file) {
            Some(bytes) => Some(bytes.clone()),
            None => self.repository.read_target(&file)?,
        };
        let bytes = bytes.ok_or_else(|| ContentError::Missing { file: file.clone() })?;
        let found = bytes.len() as u64;
        if found != listed.length {
            return Err(ContentError::Length { file, expected: listed.length, found });
        }
        match Sha256::of(&bytes) {
            found if found == listed.file.sha256 => Ok(bytes),
            found => Err(ContentError::Digest { file, found }),
        }
    }

    /// A manifest, which speaks of the image that it is listed for.
    pub(super) fn manifest(&self, name: &ImageName, listed: &Listed) -> Result<Manifest, ContentError> {
        let manifest = self.document(listed, Manifest::parse)?;
        same_name(listed, name, &manifest.name)?;
        Ok(manifest)
    }

    /// The patches to an image, which speak of the image that they are listed for as it is listed itself.
    pub(super) fn patches(
        &self,
        listing: &Listing,
        name: &ImageName,
        listed: &Listed,
    ) -> Result<Patches, ContentError> {
        let patches = self.document(listed, Patches::parse)?;
        same_name(listed, name, &patches.image)?;
        match listing.images.get(name).map(|image| image.file.sha256) {
            Some(listed) if listed == patches.manifest => Ok(patches),
            listed => {
                let (image, named) = (Box::new(name.clone()), patches.manifest);
                Err(ContentError::PatchesImage { image, named, listed })
            }
        }
    }

    /// All pins, each for the group that it is listed for and for an image that is listed with the same manifest.
    pub(super) fn pins(&self, listing: &Listing) -> Result<BTreeMap<Group, Pin>, ContentError> {
        let mut pins = BTreeMap::new();
        for (group, listed) in &listing.pins {
            let pin = self.document(listed, Pin::parse)?;
            same_name(listed, group, &pin.group)?;
            let Some(published) = listing.images.get(&pin.stable.name) else {
                return Err(ContentError::PinUnlisted { group: group.clone(), image: pin.stable.name });
            };
            let listed = published.file.sha256;
            if pin.stable.manifest != listed {
                let pinned = Box::new(pin.stable);
                return Err(ContentError::PinDigest { group: group.clone(), pinned, listed });
            }
            pins.insert(group.clone(), pin);
        }
        Ok(pins)
    }

    /// The assignments; none are listed: nobody is assigned.
    pub(super) fn assignments(&self, listing: &Listing) -> Result<Assignments, ContentError> {
        let listed = listing.assignments.as_ref();
        listed.map_or(Ok(Assignments::empty()), |listed| self.document(listed, Assignments::parse))
    }

    fn document<T>(
        &self,
        listed: &Listed,
        parse: impl Fn(&[u8]) -> Result<T, DocumentError>,
    ) -> Result<T, ContentError> {
        let bytes = self.bytes(listed)?;
        parse(&bytes).map_err(|source| ContentError::Document { file: listed.file.to_string(), source })
    }
}

fn same_name<T: PartialEq + ToString>(listed: &Listed, expected: &T, found: &T) -> Result<(), ContentError> {
    if expected == found {
        return Ok(());
    }
    Err(ContentError::OtherName { file: listed.file.to_string(), found: found.to_string() })
}

/// The release-counter floors that the top-level role signs: an image of a role below its floor is not installed. A role
/// without one has floor 0.
///
/// # Errors
/// [`ContentError::Floors`] for another shape: a floor that is not understood must not count as none.
pub fn floors(client: &Client) -> Result<BTreeMap<Role, u64>, ContentError> {
    let target = client.top_level_target(FLOOR_TARGET);
    target.map_or(Ok(BTreeMap::new()), |target| read_floors(target.custom.as_ref()))
}

/// The floors in the `custom` of [`FLOOR_TARGET`].
///
/// # Errors
/// As [`floors`].
pub fn read_floors(custom: Option<&signing::Value>) -> Result<BTreeMap<Role, u64>, ContentError> {
    let error = || {
        let found = custom.map(|custom| String::from_utf8_lossy(&custom.canonical()).into_owned());
        ContentError::Floors { found: found.unwrap_or_default().chars().take(200).collect() }
    };
    let floors = custom.and_then(|custom| custom.get("bascule")?.get("floors")?.as_object());
    let floor = |(role, floor): (&String, &signing::Value)| Some((role.parse().ok()?, floor.as_u64()?));
    floors.ok_or_else(error)?.iter().map(|entry| floor(entry).ok_or_else(error)).collect()
}

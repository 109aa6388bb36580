//! The signed list of the ways to one image that cost less than its chunks: patches from other images, and the whole stream.
//!
//! It travels as canonical JSON, a TUF target `images/@patches.<role>@<version>.json` under the `releases` delegation, beside the
//! image's manifest, which it does not change: it may come later, grow, and go again. What it names are segment tables (see
//! [`crate::patch`]) and patches of the index. Whoever uses them checks every result against the image's own index, so a wrong
//! list costs time and never a wrong byte.
//!
//! ```json
//! {"format":1,"image":"ha@2","manifest":"…","patches":[{"bytes":9,"from":"…","index":{…},"name":"ha@1","table":{…}}],
//!  "stream":{"bytes":99,"table":{…}}}
//! ```

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::document::{Document, DocumentError};
use crate::index::INDEX_MAX;
use crate::manifest::{ObjectRef, ROOT_MAX};
use crate::patch::TABLE_MAX;
use crate::{ImageName, Sha256};

/// The value of `format` that this code reads and writes.
pub const PATCHES_FORMAT: u32 = 1;

/// Largest document read, in bytes: [`FROM_MAX`] patches take two thirds of it.
pub const PATCHES_MAX: u64 = 64 << 10;

/// Most images that there are patches from.
pub const FROM_MAX: usize = 64;

/// What the file name begins with. `@` cannot begin a role, so no image collides with it.
pub(crate) const PREFIX: &str = "@patches.";

/// TUF target path of the patches to an image.
pub fn patches_path(image: &ImageName) -> String {
    format!("images/{PREFIX}{image}.json")
}

/// The patches to one image, and its whole stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patches {
    /// Always [`PATCHES_FORMAT`].
    pub format: u32,
    /// The image that all of them make, again inside the signed bytes.
    pub image: ImageName,
    /// SHA-256 of its manifest; must equal what `releases` lists.
    pub manifest: Sha256,
    /// All of it, without any base.
    pub stream: Option<Stream>,
    /// From other images; each of those at most once.
    pub patches: Vec<Patch>,
}

/// All segments of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// The segment table.
    pub table: ObjectRef,
    /// Stored bytes of all segments.
    pub bytes: u64,
}

/// What makes the image out of another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// SHA-256 of the manifest of the image that it starts from.
    pub from: Sha256,
    /// The name of that image, for people.
    pub name: ImageName,
    /// The segment table.
    pub table: ObjectRef,
    /// Stored bytes of all segments.
    pub bytes: u64,
    /// The image's index as a patch of the other image's index.
    pub index: ObjectRef,
}

impl Patches {
    /// A list that has nothing yet.
    pub fn empty(image: ImageName, manifest: Sha256) -> Self {
        Self { format: PATCHES_FORMAT, image, manifest, stream: None, patches: Vec::new() }
    }

    /// Reads a list from bytes that anybody may have sent.
    ///
    /// # Errors
    /// [`DocumentError`]: larger than [`PATCHES_MAX`], not strict JSON, unknown or missing fields, values out of range, an image
    /// that two patches start from, or a patch that starts from the image itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        Self::read(bytes)
    }

    /// The canonical bytes. Refuses what [`Patches::parse`] would refuse.
    ///
    /// # Errors
    /// [`DocumentError::Field`] names the first field that is not acceptable.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DocumentError> {
        self.write()
    }

    /// The patch that starts from the image with this manifest.
    pub fn from(&self, manifest: &Sha256) -> Option<&Patch> {
        self.patches.iter().find(|patch| patch.from == *manifest)
    }

    /// The objects that are named here, besides the segments that the tables list, each with what it is.
    pub fn objects(&self) -> impl Iterator<Item = (&'static str, ObjectRef)> {
        let stream = self.stream.iter().map(|stream| ("segment table", stream.table));
        let patches = self.patches.iter();
        stream.chain(patches.flat_map(|patch| [("segment table", patch.table), ("index patch", patch.index)]))
    }

    /// The segment tables, each with the sum that is declared for its segments.
    pub fn tables(&self) -> impl Iterator<Item = (ObjectRef, u64)> {
        let stream = self.stream.iter().map(|stream| (stream.table, stream.bytes));
        stream.chain(self.patches.iter().map(|patch| (patch.table, patch.bytes)))
    }
}

impl Document for Patches {
    const WHAT: &'static str = "patches";
    const MAX: u64 = PATCHES_MAX;
    const FORMATS: RangeInclusive<u32> = PATCHES_FORMAT..=PATCHES_FORMAT;

    fn check(&self) -> Result<(), DocumentError> {
        Self::check_format(self.format.into())?;
        let way = |field: String, table: ObjectRef, bytes| {
            Self::number(&format!("{field}.table.size"), table.size, 1..=TABLE_MAX)?;
            // More than the plain bytes costs more than what it saves.
            Self::number(&format!("{field}.bytes"), bytes, 0..=ROOT_MAX)
        };
        if let Some(stream) = &self.stream {
            way("stream".to_owned(), stream.table, stream.bytes)?;
        }
        Self::number("patches", self.patches.len() as u64, 0..=FROM_MAX as u64)?;
        let mut seen = BTreeSet::from([self.manifest]);
        for (position, patch) in self.patches.iter().enumerate() {
            let field = format!("patches[{position}]");
            Self::rule(
                seen.insert(patch.from),
                format!("{field}.from"),
                "another image than the ones before",
                patch.from,
            )?;
            Self::number(&format!("{field}.index.size"), patch.index.size, 1..=INDEX_MAX)?;
            way(field, patch.table, patch.bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

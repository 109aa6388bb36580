//! What makes the way to an image cheaper: its index as a patch of another one, patches, the whole stream.
//!
//! The list of them is signed, like the image; that something of it is missing, wrong or not to be had is no error. What they lead to is
//! believed by its digests, like everything else.

use image_format::ObjectId;
use image_format::document::DocumentError;
use image_format::index::{Index, IndexError};
use image_format::manifest::ObjectRef;
use image_format::patch::{FrameError, PatchError, SegmentTable, decode_index_patch};
use image_format::patches::{PATCHES_MAX, Patch, Patches};

use super::fetch::Server;
use super::wish::{Wish, WishError, target_bytes};
use crate::disk::SlotImage;
use crate::disk::install::{Table, Ways};
use crate::http::HttpError;
use crate::say;

const STREAM: &str = "table of the stream";

/// Why something that would have made the way cheaper is not used.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// The signed list cannot be had.
    #[error("list of patches")]
    List(#[from] WishError),
    /// The signed list cannot be understood.
    #[error("list of patches cannot be used")]
    Document(#[from] DocumentError),
    /// The signed list is another image's.
    #[error("list of patches: expected that of {expected}, found {found}")]
    Foreign {
        /// The image and its manifest.
        expected: String,
        /// The image inside, and its manifest.
        found: String,
    },
    /// An object cannot be had.
    #[error("{what} {id}")]
    Object {
        /// What it is.
        what: &'static str,
        /// Which.
        id: ObjectId,
        /// What happened.
        source: HttpError,
    },
    /// The server gave other bytes.
    #[error("{what}: expected object {expected}, found {found}")]
    Bytes {
        /// What it is.
        what: &'static str,
        /// Object asked for.
        expected: ObjectId,
        /// What came.
        found: ObjectId,
    },
    /// The patch of the index does not decode.
    #[error("index patch")]
    IndexPatch(#[from] FrameError),
    /// The index cannot be read.
    #[error("index of the root image")]
    Index(#[from] IndexError),
    /// A table cannot be read.
    #[error(transparent)]
    Table(#[from] PatchError),
}

/// What was found before an installation.
#[derive(Debug)]
pub struct Prepared {
    /// The bytes of the image's index.
    pub index: Vec<u8>,
    patch: Option<Table>,
    stream: Option<Table>,
    /// A table that was not fetched yet.
    other: Option<ObjectRef>,
    /// Bytes of objects that were fetched for all this.
    pub fetched: u64,
}

impl Prepared {
    /// For the installation.
    pub fn ways(&self) -> Ways<'_> {
        Ways { patch: self.patch.as_ref(), stream: self.stream.as_ref() }
    }

    /// After patch and chunks have failed: whether there is the whole stream, too.
    pub fn add_stream(&mut self, server: &mut Server) -> bool {
        let Some(table) = self.other.take() else { return false };
        self.stream = unless_it_fails(read_table(server, STREAM, table, &mut self.fetched));
        self.stream.is_some()
    }
}

/// Fetches the index of the image that is wanted, and what there is of ways to it from `seed`, the image in the other slot. `target`
/// is what the slot to be written holds now.
///
/// # Errors
/// Without the index there is no way at all.
pub fn prepare(
    server: &mut Server,
    wish: &Wish,
    seed: Option<&SlotImage>,
    target: Option<&SlotImage>,
) -> Result<Prepared, WayError> {
    let mut fetched = 0;
    let list = unless_it_fails(list(server, wish));
    let patch =
        list.as_ref().zip(seed).and_then(|(list, seed)| list.from(&seed.digest).map(|patch| (patch, seed)));
    let index = index(server, wish, patch, &mut fetched)?;
    let parsed = Index::parse(&index)?;
    // Tables are not worth their own bytes where little is missing. Where there is a patch, the stream is the last resort.
    let have = seed.into_iter().chain(target).flat_map(|image| image.index.entries());
    let missing = parsed.missing_from(&have.map(|entry| entry.chunk).collect()).stored_bytes;
    drop(parsed);
    let mut get = |what, table: ObjectRef| {
        let worth = table.size < missing;
        worth.then(|| unless_it_fails(read_table(server, what, table, &mut fetched))).flatten()
    };
    let patch = patch.and_then(|(patch, _)| get("table of the patch", patch.table));
    let mut other = list.and_then(|list| Some(list.stream?.table));
    let stream = if patch.is_none() { other.take().and_then(|table| get(STREAM, table)) } else { None };
    Ok(Prepared { index, patch, stream, other, fetched })
}

fn unless_it_fails<T>(result: Result<Option<T>, WayError>) -> Option<T> {
    result.unwrap_or_else(|error| {
        say!("install: {:#}; going on without", anyhow::Error::new(error));
        None
    })
}

fn list(server: &mut Server, wish: &Wish) -> Result<Option<Patches>, WayError> {
    let Some(target) = &wish.patches else { return Ok(None) };
    let bytes = target_bytes(server, target, PATCHES_MAX)?;
    let list = Patches::parse(&bytes)?;
    if list.image != wish.manifest.name || list.manifest != wish.digest {
        let expected = format!("{} (manifest {})", wish.manifest.name, wish.digest);
        let found = format!("{} (manifest {})", list.image, list.manifest);
        return Err(WayError::Foreign { expected, found });
    }
    Ok(Some(list))
}

/// The index: by a patch of the seed's, or as a whole.
fn index(
    server: &mut Server,
    wish: &Wish,
    patch: Option<(&Patch, &SlotImage)>,
    fetched: &mut u64,
) -> Result<Vec<u8>, WayError> {
    const WHAT: &str = "index of the root image";
    let wanted = wish.manifest.root.index;
    if let Some((patch, seed)) = patch.filter(|(patch, _)| patch.index.size < wanted.size) {
        let patched = index_by_patch(server, wanted, patch.index, &seed.index, fetched).map(Some);
        if let Some(index) = unless_it_fails(patched) {
            return Ok(index);
        }
    }
    object(server, WHAT, wanted, fetched)
}

fn index_by_patch(
    server: &mut Server,
    wanted: ObjectRef,
    patch: ObjectRef,
    seed: &Index,
    fetched: &mut u64,
) -> Result<Vec<u8>, WayError> {
    let stored = object(server, "index patch", patch, fetched)?;
    let index = decode_index_patch(&stored, &seed.encode(), wanted.size)?;
    check("index by patch", wanted.id, index)
}

fn read_table(
    server: &mut Server,
    what: &'static str,
    table: ObjectRef,
    fetched: &mut u64,
) -> Result<Option<Table>, WayError> {
    let bytes = object(server, what, table, fetched)?;
    Ok(Some(Table { object: table, segments: SegmentTable::parse(&bytes)? }))
}

/// A whole object, by its digest.
fn object(
    server: &mut Server,
    what: &'static str,
    wanted: ObjectRef,
    fetched: &mut u64,
) -> Result<Vec<u8>, WayError> {
    let got = server.object(wanted.id, wanted.size);
    let bytes = got.map_err(|source| WayError::Object { what, id: wanted.id, source })?;
    *fetched += bytes.len() as u64;
    check(what, wanted.id, bytes)
}

fn check(what: &'static str, expected: ObjectId, bytes: Vec<u8>) -> Result<Vec<u8>, WayError> {
    let found = ObjectId::of(&bytes);
    if found == expected { Ok(bytes) } else { Err(WayError::Bytes { what, expected, found }) }
}

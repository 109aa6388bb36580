//! Writing an image into a slot.
//!
//! ```text
//! read the old proof area ─▶ invalidate it (durable) ─▶ local sources ─▶ server ─▶ kernel, initramfs ─▶ flush
//!   ─▶ read the root back cold through the verity tree ─▶ write the tree ─▶ flush ─▶ read the rest back cold ─▶ proof area
//! ```
//!
//! A chunk is taken, in this order, from where it is to be (an update in place, or a resumed installation), from the other slot,
//! from another place of the slot's old content, from the server. Every source is believed only by digest: BLAKE3 of the stored
//! bytes before they are decoded, BLAKE3 of the plain bytes before they are written; what a seed holds wrongly is fetched.
//! The root hash of the verity tree, computed from what the disk gives back, decides in the end.
//!
//! Memory: one chunk, one batch list and the verity tree (0.8 % of the root), whatever the size of the image.
//! After an error, or a power cut at any point, the slot has no valid proof area, and running this again completes it.

mod budget;
mod chunks;
mod error;
mod fetch;
mod local;
mod missing;
mod objects;
mod read_back;
mod segments;
mod source;
mod turns;
mod ways;
mod writer;

use std::io;

use image_format::device::Device;
use image_format::index::Index;
use image_format::proof::{self, Proof};
use image_format::slot_layout::SlotLayout;
use image_format::{Manifest, ObjectId};

pub use self::chunks::{BATCH_BYTES, BATCH_ENTRIES};
pub use self::error::{InstallError, Place};
pub use self::source::{ChunkSource, EntrySink, PieceSink, Refused, SourceError, Stopped};
pub use self::ways::{Plan, Table, Way, Ways};

/// What to install.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The manifest's verified bytes.
    pub manifest_bytes: &'a [u8],
    /// The same, parsed.
    pub manifest: &'a Manifest,
    /// The bytes of the root's index; their digest is checked here against the manifest.
    pub index_bytes: &'a [u8],
    /// The metadata that list the manifest, for the proof area.
    pub evidence: &'a [u8],
    /// The same image was being written to this slot before: what is there already may be right.
    pub resume: bool,
    /// Ways that may cost less than chunks.
    pub ways: Ways<'a>,
}

/// A slot with a whole image in it, as a source of chunks.
#[derive(Clone, Copy)]
pub struct Seed<'a> {
    /// The slot.
    pub device: &'a dyn Device,
    /// Its manifest.
    pub manifest: &'a Manifest,
    /// Its index.
    pub index: &'a Index,
    /// Where its parts lie.
    pub layout: &'a SlotLayout,
}

/// Where the bytes of an installation came from. Plain bytes, except where it says stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InstallStats {
    /// Zeros.
    pub zero_bytes: u64,
    /// Found in place.
    pub in_place_bytes: u64,
    /// Copied from the other slot, or from elsewhere in this one.
    pub seed_bytes: u64,
    /// Decoded from what the server sent.
    pub server_bytes: u64,
    /// Stored bytes of chunks that the server sent.
    pub fetched_chunk_bytes: u64,
    /// Stored bytes of a patch's segments that the server sent.
    pub fetched_patch_bytes: u64,
    /// Stored bytes of the stream's segments that the server sent.
    pub fetched_stream_bytes: u64,
    /// Bytes of kernel and initramfs that the server sent.
    pub fetched_object_bytes: u64,
    /// Chunks that the server sent.
    pub fetched_chunks: u64,
    /// Chunks that a local source held wrongly.
    pub seed_mismatches: u64,
}

impl InstallStats {
    /// All that was fetched.
    pub const fn fetched_bytes(&self) -> u64 {
        self.fetched_chunk_bytes
            + self.fetched_patch_bytes
            + self.fetched_stream_bytes
            + self.fetched_object_bytes
    }

    fn segment(&mut self, way: Way, bytes: u64) {
        match way {
            Way::Patch => self.fetched_patch_bytes += bytes,
            Way::Stream => self.fetched_stream_bytes += bytes,
            Way::Chunks => self.fetched_chunk_bytes += bytes,
        }
    }
}

/// The parts of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Copying what is there; in bytes of the root.
    Local,
    /// Fetching the rest; in stored bytes.
    Fetch,
    /// Kernel and initramfs; in bytes.
    Objects,
    /// Reading the root back; in bytes.
    ReadBack,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which part.
    pub phase: Phase,
    /// Done of it.
    pub done: u64,
    /// All of it.
    pub total: u64,
}

/// What an installation tells about itself.
#[derive(Debug)]
pub enum News<'a> {
    /// How far it is.
    Progress(Progress),
    /// What will be fetched, by which ways.
    Plan {
        /// The prediction.
        plan: Plan,
        /// A way has failed: this is what is left.
        again: bool,
    },
    /// A way failed, and is not gone any further.
    Failed {
        /// Which.
        way: Way,
        /// Why.
        error: &'a (dyn std::error::Error + 'static),
    },
}

/// What an installation is surrounded by.
pub struct Context<'a> {
    /// The server.
    pub source: &'a mut dyn ChunkSource,
    /// Empties the caches of the disk, so that reading back reads the disk.
    pub cold: &'a dyn Fn() -> io::Result<()>,
    /// Told what happens.
    pub progress: &'a mut dyn FnMut(News<'_>),
}

/// Installs `job` into the slot `target`, with chunks from `seeds` where they have them.
///
/// The caller has made the slot unbootable in the record and in the boot loader, durably. After success the slot holds exactly
/// the image, durably, and a valid proof area says so.
///
/// # Errors
/// [`InstallError`]: what, where, expected and found. The slot then has no valid proof area, except when nothing was written.
pub fn install(
    target: &dyn Device,
    job: &Job<'_>,
    seeds: &[Seed<'_>],
    context: &mut Context<'_>,
) -> Result<InstallStats, InstallError> {
    let Job { manifest, index_bytes, .. } = *job;
    let index = checked_index(manifest, index_bytes)?;
    let layout = SlotLayout::of(manifest, target.len())?;
    let [manifest_bytes, index_part, evidence] =
        [job.manifest_bytes, index_bytes, job.evidence].map(<[u8]>::to_vec);
    let new_proof = Proof { manifest: manifest_bytes, index: index_part, evidence };
    new_proof.encode().map_err(InstallError::Proof)?;

    let old = Old::read(target, layout.proof.offset);
    proof::invalidate(target, layout.proof.offset)
        .map_err(InstallError::io(Place::Proof, layout.proof.offset))?;

    let mut stats = InstallStats::default();
    let task = Task { target, job: *job, index: &index, layout, old: old.as_ref(), seeds };
    let missing = local::copy(&task, context, &mut stats)?;
    fetch::fetch(&task, &missing, context, &mut stats)?;
    objects::copy(&task, context, &mut stats)?;
    target.flush().map_err(InstallError::io(Place::Slot, 0))?;

    read_back::root_and_tree(&task, context)?;
    read_back::objects(&task)?;
    new_proof.write(target, layout.proof.offset, context.cold).map_err(InstallError::Proof)?;
    Ok(stats)
}

/// What all steps are about.
struct Task<'a> {
    target: &'a dyn Device,
    job: Job<'a>,
    index: &'a Index,
    layout: SlotLayout,
    old: Option<&'a Old>,
    seeds: &'a [Seed<'a>],
}

fn checked_index(manifest: &Manifest, bytes: &[u8]) -> Result<Index, InstallError> {
    let inconsistent =
        |what, expected: String, found: String| InstallError::Inconsistent { what, expected, found };
    let found = ObjectId::of(bytes);
    if found != manifest.root.index.id {
        return Err(inconsistent("index object", manifest.root.index.id.to_string(), found.to_string()));
    }
    let index = Index::parse(bytes).map_err(InstallError::Index)?;
    if index.plain_size() != manifest.root.size {
        let (expected, found) = (manifest.root.size.to_string(), index.plain_size().to_string());
        return Err(inconsistent("size of the root by the index", expected, found));
    }
    Ok(index)
}

/// What the slot held before, by a proof area that was valid.
struct Old {
    manifest: Manifest,
    index: Index,
    layout: SlotLayout,
}

impl Old {
    /// None is always right: it only costs fetching.
    fn read(target: &dyn Device, offset: u64) -> Option<Self> {
        let proof = Proof::read(target, offset).ok()?;
        let manifest = Manifest::parse(&proof.manifest).ok()?;
        let index = Index::parse(&proof.index).ok()?;
        let layout = SlotLayout::of(&manifest, target.len()).ok()?;
        Some(Self { manifest, index, layout })
    }
}

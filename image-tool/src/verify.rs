//! Re-reading an image in a store, down to the last bit.
//!
//! Every stored object is read and its digest compared, every chunk decoded and its plain digest compared, and the dm-verity
//! tree computed over the whole, zero runs included: what a node would mount is what was signed. Chunks are checked a
//! window at a time on all processors; memory stays at about a window.

use image_format::index::{Entry, Index};
use image_format::manifest::ObjectRef;
use image_format::patches::Patches;
use image_format::store::Store;
use image_format::{Manifest, ObjectId, verity};
use rayon::prelude::*;
use serde::Serialize;

use crate::plain::{self, WINDOW};
use crate::publish::{read_index, read_table};
use crate::ui::progress::Progress;

/// Zero bytes hashed at a time.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Something that is not as signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// What it is: an artifact's name, or the byte offset of a chunk in the root.
    pub(crate) what: String,
    /// The object.
    pub(crate) object: ObjectId,
    /// What is wrong.
    pub(crate) error: String,
}

/// The outcome.
#[derive(Debug, Serialize)]
pub(crate) struct Verified {
    /// Stored bytes read.
    pub(crate) stored_bytes: u64,
    /// Chunks checked, repeated ones included.
    pub(crate) chunks: u64,
    /// Whether the verity root of the whole is the signed one; none if a chunk is bad and there is no whole.
    pub(crate) verity: Option<bool>,
    /// All that is wrong.
    pub(crate) problems: Vec<Problem>,
}

/// Checks all of an image. `progress` counts plain bytes of the root.
pub(crate) fn verify(store: &Store, manifest: &Manifest, progress: &Progress) -> anyhow::Result<Verified> {
    let mut result = Verified { stored_bytes: 0, chunks: 0, verity: None, problems: Vec::new() };
    for (what, object) in manifest.objects() {
        result.check(store, what, object);
    }
    let index_is_bad = result.problems.iter().any(|problem| problem.object == manifest.root.index.id);
    if !index_is_bad {
        match read_index(store, manifest) {
            Ok(index) => root(store, manifest, &index, progress, &mut result)?,
            Err(error) => {
                let (what, object) = ("index".to_owned(), manifest.root.index.id);
                result.problems.push(Problem { what, object, error: format!("{error:#}") });
            }
        }
    }
    Ok(result)
}

/// Checks all objects of the patches to an image: digests and sizes. What segments decode to is not looked at: nodes believe that
/// chunk by chunk.
pub(crate) fn verify_patches(store: &Store, patches: &Patches, result: &mut Verified) {
    for (what, object) in patches.objects() {
        result.check(store, what, object);
    }
    for (table, _) in patches.tables() {
        // One that cannot be read is among the problems already.
        let Ok(table) = read_table(store, patches, table) else { continue };
        for segment in table.segments() {
            result.check(store, "segment", ObjectRef { id: segment.object, size: segment.stored_len.into() });
        }
    }
}

impl Verified {
    /// Counts an object, or what is wrong with it.
    fn check(&mut self, store: &Store, what: &str, object: ObjectRef) {
        let found = store.verify_object(object.id).map_err(|error| chain(&error)).and_then(|size| {
            let wrong = || format!("expected {} bytes, found {size}", object.size);
            if size == object.size { Ok(size) } else { Err(wrong()) }
        });
        match found {
            Ok(size) => self.stored_bytes += size,
            Err(error) => self.problems.push(Problem { what: what.to_owned(), object: object.id, error }),
        }
    }
}

fn root(
    store: &Store,
    manifest: &Manifest,
    index: &Index,
    progress: &Progress,
    result: &mut Verified,
) -> anyhow::Result<()> {
    let mut tree = verity::Builder::new(manifest.root.verity.salt, manifest.root.size)?;
    let entries: Vec<(u64, &Entry)> = index.iter_at().collect();
    let before = result.problems.len();
    for window in entries.chunks(WINDOW) {
        let plain: Vec<Result<Vec<u8>, Problem>> =
            window.par_iter().map(|(offset, entry)| chunk(store, *offset, entry)).collect();
        for ((_, entry), plain) in window.iter().zip(plain) {
            match plain {
                Ok(plain) if entry.is_zero() => debug_assert!(plain.is_empty()),
                Ok(plain) => tree.update(&plain),
                Err(problem) => result.problems.push(problem),
            }
            if entry.is_zero() {
                zeros(&mut tree, entry.plain_len);
            } else {
                result.chunks += 1;
                result.stored_bytes += u64::from(entry.stored_len);
            }
            progress.add(entry.plain_len.into());
        }
    }
    if result.problems.len() == before {
        let found = tree.finish()?.root_hash;
        let expected = manifest.root.verity.root_hash;
        result.verity = Some(found == expected);
        if found != expected {
            let (what, object) = ("verity root".to_owned(), manifest.root.index.id);
            result.problems.push(Problem {
                what,
                object,
                error: format!("expected {expected}, found {found}"),
            });
        }
    }
    Ok(())
}

/// The plain bytes of an entry; none for zeros.
fn chunk(store: &Store, offset: u64, entry: &Entry) -> Result<Vec<u8>, Problem> {
    let problem = |error: anyhow::Error| Problem {
        what: format!("root at byte {offset}"),
        object: entry.object,
        error: format!("{error:#}"),
    };
    plain::chunk(store, entry).map(|chunk| chunk.plain).map_err(problem)
}

fn zeros(tree: &mut verity::Builder, len: u32) {
    let mut left = len as usize;
    while left > 0 {
        let now = left.min(ZEROS.len());
        tree.update(&ZEROS[..now]);
        left -= now;
    }
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

//! Making patches: which old bytes stand before which new ones, and the segments.
//!
//! ```text
//! EROFS of both images ─→ files ─→ choose (old file for new file) ─→ plan (segments) ─→ encode ─→ objects + segment table
//! ```
//!
//! Everything is read out of the chunks of the two images in the local store.

mod choose;
mod cover;
mod effort;
mod encode;
mod files;
mod make;
mod plan;
mod predict;
mod ranges;

use anyhow::Context as _;
use image_format::index::Index;
use image_format::manifest::ObjectRef;
use image_format::patch::{SegmentTable, encode_index_patch};
use image_format::patches::{Patch, Stream};
use image_format::store::{Batch, Store};
use image_format::{BLOCK, Manifest, ObjectId};

pub(crate) use self::cover::{Made, Wanted, wanted};
pub(crate) use self::effort::Effort;
use self::encode::Encoder;
use self::files::FileMap;
pub(crate) use self::make::{make, sign};
use self::plan::{Job, Limits, Side};
pub(crate) use self::predict::Ways;
use crate::erofs_read::{ErofsError, Image, StoreImage};
use crate::publish::read_index;
use crate::stage::Signed;
use crate::ui::Ui;

/// Segments of a patch: a node holds the old bytes and as many new ones.
const PATCH: Limits = Limits { plain: 8 << 20, base: 8 << 20 };
/// Segments of the whole stream.
const STREAM: Limits = Limits { plain: 32 << 20, base: 0 };

/// Makes the patch from one image to another. Its objects go into `batch`.
///
/// # Errors
/// Chunks of one of them are not in the store, or it is no EROFS image that is read here.
pub(crate) fn make_patch(
    store: &Store,
    batch: &mut Batch<'_>,
    (from, to): (&Signed, &Signed),
    effort: Effort,
    ui: &Ui,
) -> anyhow::Result<(Patch, SegmentTable)> {
    let base = read_index(store, from.manifest())?;
    let target = read_index(store, to.manifest())?;
    let base_image = StoreImage::new(store, &base);
    let jobs = {
        let old = file_map(store, from.manifest(), &base)?;
        let new = file_map(store, to.manifest(), &target)?;
        plan::patch(Side { index: &target, files: &new }, Side { index: &base, files: &old }, PATCH)
    };
    let progress = ui.bytes(&format!("patch {} → {}", from.name(), to.name()), plain_len(&target, &jobs));
    let encoder = Encoder { store, target: &target, base: Some(&base_image), level: effort.level() };
    let segments = encoder.run(jobs, batch, &progress)?;
    let base_id = from.manifest().root.index.id;
    let table = SegmentTable::new(Some(base_id), to.manifest().root.index.id, segments)?;
    let bytes = table.stored_bytes();
    let index =
        encode_index_patch(&target.encode(), &base.encode()).context("make the patch of the index")?;
    let patch = Patch {
        from: from.digest(),
        name: from.name().clone(),
        table: put(batch, &table.encode())?,
        bytes,
        index: put(batch, &index)?,
    };
    Ok((patch, table))
}

/// Makes the whole stream of an image. Its objects go into `batch`.
///
/// # Errors
/// Chunks of it are not in the store.
pub(crate) fn make_stream(
    store: &Store,
    batch: &mut Batch<'_>,
    image: &Signed,
    effort: Effort,
    ui: &Ui,
) -> anyhow::Result<Stream> {
    let target = read_index(store, image.manifest())?;
    let jobs = plan::stream(&target, STREAM);
    let progress = ui.bytes(&format!("whole stream of {}", image.name()), plain_len(&target, &jobs));
    let encoder = Encoder { store, target: &target, base: None, level: effort.level() };
    let segments = encoder.run(jobs, batch, &progress)?;
    let table = SegmentTable::new(None, image.manifest().root.index.id, segments)?;
    Ok(Stream { bytes: table.stored_bytes(), table: put(batch, &table.encode())? })
}

fn file_map(store: &Store, manifest: &Manifest, index: &Index) -> anyhow::Result<FileMap> {
    let what = || format!("find the files of {}", manifest.name);
    match Image::open(StoreImage::new(store, index)) {
        Ok(image) => FileMap::read(&image).with_context(what),
        // Another file system: all of it is one file.
        Err(ErofsError::Format { .. }) => Ok(FileMap::whole((index.plain_size().div_ceil(BLOCK)) as u32)),
        Err(error) => Err(error).with_context(what),
    }
}

fn plain_len(target: &Index, jobs: &[Job]) -> u64 {
    let numbers = jobs.iter().flat_map(|job| &job.entries);
    numbers.map(|number| u64::from(target.entries()[*number as usize].plain_len)).sum()
}

fn put(batch: &mut Batch<'_>, bytes: &[u8]) -> anyhow::Result<ObjectRef> {
    batch.put(bytes).context("store a patch")?;
    Ok(ObjectRef { id: ObjectId::of(bytes), size: bytes.len() as u64 })
}

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
use image_format::{BLOCK, ImageName, ObjectId};

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
use crate::ui::progress::Progress;

/// Segments of a patch: a node holds the old bytes and as many new ones.
const PATCH: Limits = Limits { plain: 8 << 20, base: 8 << 20 };
/// Segments of the whole stream.
const STREAM: Limits = Limits { plain: 32 << 20, base: 0 };

/// An image by its index.
#[derive(Debug)]
struct Indexed {
    name: ImageName,
    id: ObjectId,
    index: Index,
}

impl Indexed {
    fn read(store: &Store, image: &Signed) -> anyhow::Result<Self> {
        let index = read_index(store, image.manifest())?;
        Ok(Self { name: image.name().clone(), id: image.manifest().root.index.id, index })
    }
}

/// Makes the patch from one image to another. Its objects go into `batch`.
///
/// # Errors
/// Chunks of one of them are not in the store, or it is an EROFS image with something in it that is not read here.
pub(crate) fn make_patch(
    store: &Store,
    batch: &mut Batch<'_>,
    (from, to): (&Signed, &Signed),
    effort: Effort,
    ui: &Ui,
) -> anyhow::Result<(Patch, SegmentTable)> {
    let (base, target) = (Indexed::read(store, from)?, Indexed::read(store, to)?);
    let what = format!("patch {} → {}", from.name(), to.name());
    let table = between(store, batch, &base, &target, effort, |bytes| ui.bytes(&what, bytes))?;
    let index = encode_index_patch(&target.index.encode(), &base.index.encode());
    let patch = Patch {
        from: from.digest(),
        name: from.name().clone(),
        table: put(batch, &table.encode())?,
        bytes: table.stored_bytes(),
        index: put(batch, &index.context("make the patch of the index")?)?,
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
    let target = Indexed::read(store, image)?;
    let what = format!("whole stream of {}", image.name());
    let table = whole(store, batch, &target, effort, |bytes| ui.bytes(&what, bytes))?;
    Ok(Stream { bytes: table.stored_bytes(), table: put(batch, &table.encode())? })
}

fn between(
    store: &Store,
    batch: &mut Batch<'_>,
    base: &Indexed,
    target: &Indexed,
    effort: Effort,
    progress: impl FnOnce(u64) -> Progress,
) -> anyhow::Result<SegmentTable> {
    let jobs = {
        let (old, new) = (file_map(store, base)?, file_map(store, target)?);
        let side = |image, files| Side { index: image, files };
        plan::patch(side(&target.index, &new), side(&base.index, &old), PATCH)
    };
    let progress = progress(plain_len(&target.index, &jobs));
    let image = StoreImage::new(store, &base.index);
    let encoder = Encoder { store, target: &target.index, base: Some(&image), level: effort.level() };
    let segments = encoder.run(jobs, batch, &progress)?;
    Ok(SegmentTable::new(Some(base.id), target.id, segments)?)
}

fn whole(
    store: &Store,
    batch: &mut Batch<'_>,
    target: &Indexed,
    effort: Effort,
    progress: impl FnOnce(u64) -> Progress,
) -> anyhow::Result<SegmentTable> {
    let jobs = plan::stream(&target.index, STREAM);
    let progress = progress(plain_len(&target.index, &jobs));
    let encoder = Encoder { store, target: &target.index, base: None, level: effort.level() };
    let segments = encoder.run(jobs, batch, &progress)?;
    Ok(SegmentTable::new(None, target.id, segments)?)
}

fn file_map(store: &Store, image: &Indexed) -> anyhow::Result<FileMap> {
    let what = || format!("find the files of {}", image.name);
    let index = &image.index;
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

#[cfg(test)]
mod tests;

//! The stages that turn a finished root tree into what nodes fetch.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use image_format::chunker::FileMap;
use image_format::codec::Compression;
use image_format::store::Batch;
use image_format::{BLOCK, Sha256};

use super::chunks::{self, Chunked, Chunking, Known};
use super::root::Root;
use super::stages::Stages;
use super::work::Work;
use super::{erofs, grub, initramfs};
use crate::recipe::Recipe;
use crate::ui::size;

/// The root image with its chunks and its verity tree.
#[derive(Debug)]
pub(crate) struct RootImage {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Where its files begin.
    pub(crate) map: FileMap,
    /// Salt of the verity tree.
    pub(crate) salt: Sha256,
    /// Chunks and tree.
    pub(crate) chunked: Chunked,
}

/// Files that a node needs before it has a root.
#[derive(Debug)]
pub(crate) struct BootFiles {
    /// The initramfs.
    pub(crate) initramfs: Vec<u8>,
    /// GRUB's images.
    pub(crate) bios: Vec<u8>,
}

/// Writes the root image and puts its new chunks into `batch`.
pub(crate) fn root_image(
    root: &Root,
    recipe: &Recipe,
    known: &Known,
    compression: Compression,
    batch: &mut Batch<'_>,
    work: &Work,
    stages: &mut Stages<'_>,
) -> anyhow::Result<RootImage> {
    let path = work.dir().join("root.erofs");
    let salt = super::salt(&recipe.role);
    let map = stages.run_bytes("root image", root.bytes(), |progress| {
        let map = write_image(root, recipe.epoch, &path, &|bytes| progress.add(bytes))?;
        let note = size::bytes(u64::from(map.blocks()) * BLOCK);
        Ok((map, note))
    })?;
    let size = u64::from(map.blocks()) * BLOCK;
    let chunked = stages.run_bytes("chunks", size, |progress| {
        let progress = |bytes| progress.add(bytes);
        let chunking = Chunking { map: Some(&map), known, compression, batch, progress: &progress };
        let chunked = chunks::store_image(&path, size, salt, chunking)?;
        let chunks = &chunked.chunks;
        let note = format!(
            "{} ({} known), {} as stored",
            size::plural(chunks.entries, "chunk"),
            size::count(chunks.reused),
            size::bytes(chunks.stored())
        );
        Ok((chunked, note))
    })?;
    Ok(RootImage { path, size, map, salt, chunked })
}

/// Makes initramfs and boot loader.
pub(crate) fn boot_files(
    root: &Root,
    agent: &[u8],
    root_json: &[u8],
    work: &Work,
    stages: &mut Stages<'_>,
) -> anyhow::Result<BootFiles> {
    stages.run("boot files", |_| {
        let initramfs = initramfs::encode(agent, root_json, &root.kernel.release, &root.modules)?;
        let bios = grub::encode(work.dir())?;
        let note = format!(
            "initramfs {}, kernel {}",
            size::bytes(initramfs.len() as u64),
            size::bytes(root.kernel.image.len() as u64)
        );
        Ok((BootFiles { initramfs, bios }, note))
    })
}

fn write_image(root: &Root, epoch: u64, path: &Path, progress: &dyn Fn(u64)) -> anyhow::Result<FileMap> {
    let context = || format!("write {}", path.display());
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).with_context(context)?);
    let map = erofs::write(&root.tree, &root.contents, epoch, &mut out, progress)?;
    out.flush().with_context(context)?;
    Ok(map)
}

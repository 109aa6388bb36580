//! Builds an image from a recipe.
//!
//! ```text
//! recipe ─ mmdebstrap (or an earlier archive) ─ tree in memory: scrub, overlay, agent, services ─┬─ EROFS ─ chunks, verity ─ store
//!                                                                                                ├─ kernel, initramfs
//!                                                                                                └─ package list, file list
//! ```
//!
//! Everything behind mmdebstrap works on a tree in memory and needs no rights. Nothing depends on the time, the machine's
//! name, or the order of a directory: the same recipe, archive state, agent and trusted root give the same manifest.
//!
//! Objects become visible in the store, and `builds/NAME/manifest.json` appears, only at the very end; a build that fails or
//! is killed leaves temporary files in `cache/` at most.

mod agent;
mod archive;
mod archive_state;
mod bootstrap;
mod chunks;
mod compare;
mod contents;
mod cpio;
mod earlier;
mod erofs;
pub(crate) mod files;
mod grub;
mod initramfs;
mod kernel;
mod mode;
mod modules;
mod overlay;
mod packages;
mod report;
mod root;
mod scrub;
mod secrets;
mod services;
mod stages;
mod tools;
mod tree;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use image_format::manifest::{
    BiosBoot, FILES_MAX, Kernel, MANIFEST_FORMAT, Manifest, ObjectRef, Root as RootArtifact, Verity,
};
use image_format::store::{Batch, Store};
use image_format::{ImageName, ObjectId, Role, Sha256, Version};

pub(crate) use self::agent::find as find_agent;
use self::compare::Differences;
use self::earlier::{Earlier, MANIFEST_FILE};
use self::mode::Mode;
pub(crate) use self::mode::ModeChoice;
pub(crate) use self::report::Built;
use self::report::Sizes;
use self::stages::Stages;
use crate::recipe::{self, Recipe};
use crate::ui::{Ui, size};
use crate::{fsutil, recipe::RecipeError};

/// Debian's name of the only architecture.
const ARCH: &str = "amd64";
/// Largest trusted root, in bytes.
const ROOT_JSON_MAX: u64 = 1 << 20;
/// Name of the measurements' file in a build's directory.
const REPORT_FILE: &str = "build.json";

/// What to build, and where everything is.
#[derive(Debug)]
pub(crate) struct BuildRequest {
    /// The role.
    pub(crate) role: Role,
    /// The version; none: the release counter.
    pub(crate) version: Option<Version>,
    /// The recipes.
    pub(crate) images: PathBuf,
    /// The static agent.
    pub(crate) agent: PathBuf,
    /// The trusted root to embed.
    pub(crate) root_json: PathBuf,
    /// How to make the root tree.
    pub(crate) mode: ModeChoice,
    /// Another mirror than the recipe's.
    pub(crate) mirror: Option<String>,
    /// The store's directory.
    pub(crate) store: PathBuf,
    /// The directory of all builds.
    pub(crate) builds: PathBuf,
    /// Archives of root trees, and temporary files.
    pub(crate) cache: PathBuf,
    /// Whether the artifacts stay as files beside the manifest.
    pub(crate) keep_artifacts: bool,
    /// An image to compare the result with: `role@version` or a build's directory.
    pub(crate) compare: Option<String>,
}

/// Builds.
///
/// # Errors
/// The recipe, the archive, a tool, the disk; or another content under an existing `role@version`.
pub(crate) fn build(request: &BuildRequest, ui: &Ui) -> anyhow::Result<Built> {
    let recipe = load_recipe(request)?;
    let agent = agent::read(&request.agent)?;
    let root_json =
        fsutil::read_limited(&request.root_json, ROOT_JSON_MAX).context("read the trusted root")?;
    let mode = Mode::choose(request.mode)?;
    let store = Store::open(&request.store).context("open the local store")?;
    let earlier = Earlier::load(&request.builds, &store)?;
    let (name, counter) = name(request, &earlier)?;
    let compared = request.compare.as_deref().map(|other| compared(request, &earlier, other)).transpose()?;
    fs::create_dir_all(&request.cache).with_context(|| format!("create {}", request.cache.display()))?;
    let work = tempfile::Builder::new().prefix("build-").tempdir_in(&request.cache);
    let work = work.with_context(|| format!("create a directory in {}", request.cache.display()))?;
    let mut stages = Stages::new(ui);

    let archive = stages.run("root tree", |progress| {
        let done =
            bootstrap::archive(&recipe, mode, &request.cache, work.path(), &|text| progress.message(text))?;
        let size = fs::metadata(&done.path).context("size of the root tree's archive")?.len();
        let how = if done.reused { "reused" } else { "made by mmdebstrap" };
        Ok((done.path, format!("{how}, {}", size::bytes(size))))
    })?;
    let root = stages.run("customise", |progress| {
        let root = root::customise(&recipe, &archive, &agent, progress)?;
        let packages = size::plural(root.packages.len(), "package");
        let note = format!("{}, {packages}", size::plural(root.tree.len(), "file"));
        Ok((root, note))
    })?;
    let image = work.path().join("root.erofs");
    let size = stages.run_bytes("root image", root.bytes(), |progress| {
        let size = write_image(&root, recipe.epoch, &image, &|bytes| progress.add(bytes))?;
        Ok((size, size::bytes(size)))
    })?;

    let known = chunks::known(&store, &earlier.indexes(&store)?)?;
    let mut batch = store.batch().context("begin to store")?;
    let salt = salt(&recipe.role);
    let chunked = stages.run_bytes("chunks", size, |progress| {
        let chunked = chunks::store(&image, size, salt, &known, &mut batch, &|bytes| progress.add(bytes))?;
        let note = format!(
            "{} ({} known), {} as stored",
            size::plural(chunked.index.objects().count(), "chunk"),
            size::count(chunked.reused),
            size::bytes(chunked.index.objects().map(|entry| u64::from(entry.stored_len)).sum())
        );
        Ok((chunked, note))
    })?;
    let boot = stages.run("boot files", |_| {
        let initramfs = initramfs::encode(&agent, &root_json, &root.kernel.release, &root.modules)?;
        let bios = grub::encode(work.path())?;
        let note = format!(
            "initramfs {}, kernel {}",
            size::bytes(initramfs.len() as u64),
            size::bytes(root.kernel.image.len() as u64)
        );
        Ok(((initramfs, bios), note))
    })?;
    let (initramfs, bios) = boot;

    let mut put = |what: &str, bytes: &[u8]| object(&mut batch, what, bytes);
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        name: name.clone(),
        arch: ARCH.to_owned(),
        class: recipe.class.clone(),
        counter,
        epoch: recipe.epoch as i64,
        root: RootArtifact {
            size,
            index: put("index", &chunked.index.encode())?,
            verity: Verity { root_hash: chunked.tree.root_hash, salt },
        },
        kernel: Kernel {
            release: root.kernel.release.clone(),
            object: put("kernel", &root.kernel.image)?,
            cmdline: recipe.kernel.cmdline.clone(),
        },
        initramfs: put("initramfs", &initramfs)?,
        bios: Some(BiosBoot { object: put("boot loader", &bios)? }),
        disk: recipe.disk.clone(),
        health: recipe.health.clone(),
        etc_state: recipe.etc_state.clone(),
        packages: root.packages.clone(),
        files: put("file list", &root.files)?,
    };
    let bytes = manifest.to_bytes().context("write the manifest")?;
    let differs_from = |other: &Manifest| differences(&store, other, &root.files);
    let identical = match earlier.get(&name) {
        None => false,
        Some(old) => {
            refuse_other_content(&name, old, &bytes, &differs_from)?;
            true
        }
    };
    let differences = compared.as_ref().map(differs_from).transpose()?;
    let sizes = Sizes {
        root: size,
        chunks: chunked.index.objects().count() as u64,
        chunks_known: chunked.reused,
        stored: chunked.index.objects().map(|entry| u64::from(entry.stored_len)).sum(),
        kernel: manifest.kernel.object.size,
        initramfs: manifest.initramfs.size,
        bios: bios.len() as u64,
        index: manifest.root.index.size,
        files: manifest.files.size,
    };
    let counts = stages.run("store", |_| {
        let counts = batch.commit().context("store the image's objects")?;
        Ok((
            counts,
            format!(
                "{} new, {}",
                size::plural(counts.stored as usize, "object"),
                size::bytes(counts.stored_bytes)
            ),
        ))
    })?;
    let built = Built {
        image: name.clone(),
        manifest: Sha256::of(&bytes),
        counter,
        root_hash: chunked.tree.root_hash,
        identical,
        sizes,
        new_objects: counts.stored,
        new_bytes: counts.stored_bytes,
        chunk_mb_per_s: report::rate(size, stages.seconds("chunks")),
        stages: stages.finish(),
        differences,
    };
    let directory = request.builds.join(name.to_string());
    if request.keep_artifacts {
        keep(
            &directory,
            &image,
            &[("vmlinuz", &root.kernel.image), ("initramfs", &initramfs), ("bios", &bios)],
        )?;
    }
    record(&directory, &bytes, &built)?;
    Ok(built)
}

fn load_recipe(request: &BuildRequest) -> Result<Recipe, RecipeError> {
    let mut recipe = recipe::load(&request.images, &request.role)?;
    if let Some(mirror) = &request.mirror {
        recipe.debian.mirror.clone_from(mirror);
    }
    Ok(recipe)
}

/// The image's name and counter. An image that is built again keeps its counter.
fn name(request: &BuildRequest, earlier: &Earlier) -> anyhow::Result<(ImageName, u64)> {
    let role = request.role.clone();
    let next = earlier.next_counter(&role);
    let version = match &request.version {
        Some(version) => version.clone(),
        None => next.to_string().parse().context("the release counter as a version")?,
    };
    let name = ImageName { role, version };
    let counter = earlier.get(&name).map_or(next, |manifest| manifest.counter);
    Ok((name, counter))
}

/// The salt of a role's verity trees. It need not be secret nor differ between images: it keeps trees of different roles
/// apart. As a constant it lets the same root give the same root hash.
fn salt(role: &Role) -> Sha256 {
    Sha256::of(format!("bascule verity salt 1 {role}").as_bytes())
}

fn write_image(root: &root::Root, epoch: u64, path: &Path, progress: &dyn Fn(u64)) -> anyhow::Result<u64> {
    let context = || format!("write {}", path.display());
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).with_context(context)?);
    let size = erofs::write(&root.tree, &root.contents, epoch, &mut out, progress)?;
    out.flush().with_context(context)?;
    Ok(size)
}

fn object(batch: &mut Batch<'_>, what: &str, bytes: &[u8]) -> anyhow::Result<ObjectRef> {
    batch.put(bytes).with_context(|| format!("store the {what}"))?;
    Ok(ObjectRef { id: ObjectId::of(bytes), size: bytes.len() as u64 })
}

/// The manifest to compare with.
fn compared(request: &BuildRequest, earlier: &Earlier, other: &str) -> anyhow::Result<Manifest> {
    let path = Path::new(other).join(MANIFEST_FILE);
    if path.is_file() {
        return earlier::read_manifest(&path);
    }
    let name: ImageName = other.parse().context("--compare")?;
    let found = earlier.get(&name).cloned();
    found.with_context(|| format!("--compare {name}: {} has no such build", request.builds.display()))
}

/// How the files of `other` differ from the new `files`.
fn differences(store: &Store, other: &Manifest, files: &[u8]) -> anyhow::Result<Differences> {
    let old =
        store.read(other.files.id, FILES_MAX).with_context(|| format!("file list of {}", other.name))?;
    Ok(Differences::of(&files::decode(&old)?, &files::decode(files)?))
}

fn refuse_other_content(
    name: &ImageName,
    old: &Manifest,
    new: &[u8],
    differs_from: &dyn Fn(&Manifest) -> anyhow::Result<Differences>,
) -> anyhow::Result<()> {
    let old_bytes = old.to_bytes().context("write the earlier manifest")?;
    if old_bytes == new {
        return Ok(());
    }
    let differences = differs_from(old)?;
    bail!(
        "{name} exists with other content: manifest {} there, {} built now; nothing was changed; give it another \
         version. Files: {differences}",
        Sha256::of(&old_bytes),
        Sha256::of(new)
    );
}

fn keep(directory: &Path, image: &Path, files: &[(&str, &[u8])]) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    let target = directory.join("root.erofs");
    fs::rename(image, &target).with_context(|| format!("keep {}", target.display()))?;
    for (name, bytes) in files {
        fsutil::write_atomic(&directory.join(name), bytes, fsutil::PUBLIC)?;
    }
    Ok(())
}

/// Writes the measurements, then the manifest, whose presence means "built".
fn record(directory: &Path, manifest: &[u8], built: &Built) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    let report = serde_json::to_vec_pretty(built).context("write the build's measurements")?;
    fsutil::write_atomic(&directory.join(REPORT_FILE), &report, fsutil::PUBLIC)?;
    fsutil::write_atomic(&directory.join(MANIFEST_FILE), manifest, fsutil::PUBLIC)
}

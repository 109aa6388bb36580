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
mod artifacts;
mod bootstrap;
pub(crate) mod chunks;
mod compare;
mod compression;
pub(crate) mod contents;
mod cpio;
mod earlier;
pub(crate) mod erofs;
pub(crate) mod files;
mod grub;
mod initramfs;
mod kernel;
mod mode;
mod modules;
mod overlay;
pub(crate) mod packages;
mod release;
mod report;
mod root;
pub(crate) mod sbom;
mod scrub;
pub(crate) mod secrets;
mod services;
mod stages;
mod tools;
pub(crate) mod tree;
mod work;

use std::path::PathBuf;

use anyhow::Context as _;
use image_format::manifest::Provenance;
use image_format::store::Store;
use image_format::{ImageName, Role, Sha256, Version};

pub(crate) use self::agent::find as find_agent;
use self::archive_state::ArchiveState;
pub(crate) use self::compression::CompressionChoice;
use self::earlier::Earlier;
use self::mode::Mode;
pub(crate) use self::mode::ModeChoice;
pub(crate) use self::release::provenance_differences;
use self::release::{Made, Release};
pub(crate) use self::report::Built;
use self::root::Root;
use self::stages::Stages;
use self::work::Work;
use crate::BUILDER;
use crate::fsutil;
use crate::recipe::{self, Recipe, RecipeError};
use crate::ui::{Ui, size};

/// Largest trusted root, in bytes.
const ROOT_JSON_MAX: u64 = 1 << 20;

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
    /// How hard chunks are compressed.
    pub(crate) compression: CompressionChoice,
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
    // What earlier images have stays until this one's manifest is written.
    let _lease = store.lease().context("begin to build")?;
    let earlier = Earlier::load(&request.builds, &store)?;
    let (name, counter) = name(request, &earlier)?;
    let compared = request.compare.as_deref().map(|other| earlier.find(other)).transpose()?;
    let work = Work::begin(&request.cache)?;
    let mut stages = Stages::new(ui);

    let (root, archives) = root_tree(&recipe, mode, &agent, &work, &mut stages)?;
    let indexes = earlier.indexes(&store)?;
    let mut batch = store.batch().context("begin to store")?;
    let known = chunks::known(&store, &indexes)?;
    let compression = request.compression.into();
    let image = artifacts::root_image(&root, &recipe, &known, compression, &mut batch, &work, &mut stages)?;
    let boot = artifacts::boot_files(&root, &agent, &root_json, &work, &mut stages)?;
    let provenance = Provenance {
        builder: BUILDER.to_owned(),
        recipe: root.recipe,
        agent: Sha256::of(&agent),
        trusted_root: Sha256::of(&root_json),
        archives: archives.iter().map(|state| state.provenance(&recipe.debian.components)).collect(),
        allowed_secrets: root.allowed.clone(),
    };
    let made = Made { root, image, boot, provenance };
    let release = Release::assemble(name, counter, &recipe, made, &mut batch)?;
    let identical = release.check_against_earlier(&earlier, &store)?;
    let differences = compared.map(|other| release.differences(&store, &other)).transpose()?;

    let counts = stages.run("store", |_| {
        let counts = batch.commit().context("store the image's objects")?;
        let objects = size::plural(counts.stored as usize, "new object");
        Ok((counts, format!("{objects}, {}", size::bytes(counts.stored_bytes))))
    })?;
    let built = release.built(identical, counts, stages.finish(), differences, archives);
    release.record(&request.builds, &built, request.keep_artifacts)?;
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

fn root_tree(
    recipe: &Recipe,
    mode: Mode,
    agent: &[u8],
    work: &Work,
    stages: &mut Stages<'_>,
) -> anyhow::Result<(Root, Vec<ArchiveState>)> {
    let archive = stages.run("root tree", |progress| {
        let archive = bootstrap::archive(recipe, mode, work, &|text| progress.message(text))?;
        let how = if archive.reused { "reused" } else { "made by mmdebstrap" };
        let note = format!("{how}, {}", size::bytes(archive.size));
        Ok((archive, note))
    })?;
    let root = stages.run("customise", |progress| {
        let root = root::customise(recipe, &archive.path, agent, progress)?;
        let files = size::plural(root.tree.len(), "file");
        let packages = size::plural(root.parts.installed().len(), "package");
        Ok((root, format!("{files}, {packages}")))
    })?;
    Ok((root, archive.state))
}

/// The salt of a role's verity trees. It need not be secret nor differ between images: it keeps trees of different roles
/// apart. As a constant it lets the same root give the same root hash.
fn salt(role: &Role) -> Sha256 {
    Sha256::of(format!("bascule verity salt 1 {role}").as_bytes())
}

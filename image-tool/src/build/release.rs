//! From artifacts to a manifest, and its place beside earlier ones.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use image_format::manifest::{
    BiosBoot, FILES_MAX, Kernel, MANIFEST_FORMAT, Manifest, ObjectRef, Provenance, Root as RootArtifact,
    Verity,
};
use image_format::store::{Batch, Counts, Store};
use image_format::{ImageName, ObjectId, Sha256};

use super::archive_state::ArchiveState;
use super::artifacts::{BootFiles, RootImage};
use super::compare::Differences;
use super::earlier::{Earlier, MANIFEST_FILE};
use super::files;
use super::report::{self, Built, Sizes};
use super::root::Root;
use super::sbom;
use super::stages::Stage;
use crate::fsutil;
use crate::recipe::Recipe;

/// Debian's name of the only architecture.
const ARCH: &str = "amd64";
/// Name of the measurements' file in a build's directory.
const REPORT_FILE: &str = "build.json";

/// What an image is assembled from.
#[derive(Debug)]
pub(crate) struct Made {
    /// The root tree.
    pub(crate) root: Root,
    /// The root image.
    pub(crate) image: RootImage,
    /// Initramfs and boot loader.
    pub(crate) boot: BootFiles,
    /// The inputs.
    pub(crate) provenance: Provenance,
}

/// An image with its manifest, whose objects are in the batch.
#[derive(Debug)]
pub(crate) struct Release {
    manifest: Manifest,
    bytes: Vec<u8>,
    root: Root,
    image: RootImage,
    boot: BootFiles,
}

impl Release {
    /// Puts everything but the chunks, which are there, into `batch`, and writes the manifest.
    pub(crate) fn assemble(
        name: ImageName,
        counter: u64,
        recipe: &Recipe,
        made: Made,
        batch: &mut Batch<'_>,
    ) -> anyhow::Result<Self> {
        let Made { root, image, boot, provenance } = made;
        let subject = sbom::Subject {
            name: &name,
            epoch: recipe.epoch,
            root_hash: image.chunked.tree.root_hash,
            agent: provenance.agent,
            suite: &recipe.debian.suite,
        };
        let bill = sbom::encode(&subject, &root.parts)?;
        let mut put = |what: &str, bytes: &[u8]| object(batch, what, bytes);
        let manifest = Manifest {
            format: MANIFEST_FORMAT,
            name,
            arch: ARCH.to_owned(),
            class: recipe.class.clone(),
            counter,
            epoch: recipe.epoch as i64,
            root: RootArtifact {
                size: image.size,
                index: put("index", &image.chunked.chunks.index.encode())?,
                verity: Verity { root_hash: image.chunked.tree.root_hash, salt: image.salt },
            },
            kernel: Kernel {
                release: root.kernel.release.clone(),
                object: put("kernel", &root.kernel.image)?,
                cmdline: recipe.kernel.cmdline.clone(),
            },
            initramfs: put("initramfs", &boot.initramfs)?,
            bios: Some(BiosBoot { object: put("boot loader", &boot.bios)? }),
            disk: recipe.disk.clone(),
            health: recipe.health.clone(),
            etc_state: recipe.etc_state.clone(),
            packages: root.packages(),
            files: put("file list", &root.files)?,
            sbom: Some(put("bill of materials", &bill)?),
            provenance: Some(provenance),
        };
        let bytes = manifest.to_bytes().context("write the manifest")?;
        Ok(Self { manifest, bytes, root, image, boot })
    }

    /// Whether the same image is there already; an error when another one has its name.
    pub(crate) fn check_against_earlier(&self, earlier: &Earlier, store: &Store) -> anyhow::Result<bool> {
        let name = &self.manifest.name;
        let Some(old) = earlier.get(name) else { return Ok(false) };
        let old_bytes = old.to_bytes().context("write the earlier manifest")?;
        if old_bytes == self.bytes {
            return Ok(true);
        }
        let differences = self.differences(store, old)?;
        bail!(
            "{name} exists with other content: manifest {} there, {} built now; nothing was changed, give it another \
             version. Files: {differences}. Parts that differ: {}",
            Sha256::of(&old_bytes),
            Sha256::of(&self.bytes),
            differing_parts(old, &self.manifest).join(", ")
        );
    }

    /// How the files differ from those of `other`.
    pub(crate) fn differences(&self, store: &Store, other: &Manifest) -> anyhow::Result<Differences> {
        let read = || format!("read the file list of {}", other.name);
        let old = store.read(other.files.id, FILES_MAX).with_context(read)?;
        let old = files::decode(&old).with_context(read)?;
        Ok(Differences::of(&old, &files::decode(&self.root.files)?))
    }

    /// What to report.
    pub(crate) fn built(
        &self,
        identical: bool,
        counts: Counts,
        stages: Vec<Stage>,
        differences: Option<Differences>,
        archives: Vec<ArchiveState>,
    ) -> Built {
        let manifest = &self.manifest;
        let chunk_seconds =
            stages.iter().filter(|stage| stage.name == "chunks").map(|stage| stage.seconds).sum();
        Built {
            image: manifest.name.clone(),
            manifest: Sha256::of(&self.bytes),
            counter: manifest.counter,
            root_hash: manifest.root.verity.root_hash,
            identical,
            sizes: Sizes {
                root: self.image.size,
                chunks: self.image.chunked.chunks.entries as u64,
                chunks_known: self.image.chunked.chunks.reused,
                stored: self.image.chunked.chunks.stored(),
                kernel: manifest.kernel.object.size,
                initramfs: manifest.initramfs.size,
                bios: self.boot.bios.len() as u64,
                index: manifest.root.index.size,
                files: manifest.files.size,
            },
            new_objects: counts.stored,
            new_bytes: counts.stored_bytes,
            chunk_mb_per_s: report::rate(self.image.size, chunk_seconds),
            stages,
            archives,
            differences,
        }
    }

    /// Writes the measurements, then the manifest, whose presence means "built".
    pub(crate) fn record(&self, builds: &Path, built: &Built, keep_artifacts: bool) -> anyhow::Result<()> {
        let dir = builds.join(self.manifest.name.to_string());
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        if keep_artifacts {
            self.keep_artifacts(&dir)?;
        }
        let report = serde_json::to_vec_pretty(built).context("write the build's measurements")?;
        fsutil::write_atomic(&dir.join(REPORT_FILE), &report, fsutil::PUBLIC)?;
        fsutil::write_atomic(&dir.join(MANIFEST_FILE), &self.bytes, fsutil::PUBLIC)
    }

    fn keep_artifacts(&self, dir: &Path) -> anyhow::Result<()> {
        let image: PathBuf = dir.join("root.erofs");
        fs::rename(&self.image.path, &image).with_context(|| format!("keep {}", image.display()))?;
        let map = self.image.map.encode();
        let files = [
            ("root.map", &map),
            ("vmlinuz", &self.root.kernel.image),
            ("initramfs", &self.boot.initramfs),
            ("bios", &self.boot.bios),
        ];
        files
            .iter()
            .try_for_each(|(name, bytes)| fsutil::write_atomic(&dir.join(name), bytes, fsutil::PUBLIC))
    }
}

fn object(batch: &mut Batch<'_>, what: &str, bytes: &[u8]) -> anyhow::Result<ObjectRef> {
    batch.put(bytes).with_context(|| format!("store the {what}"))?;
    Ok(ObjectRef { id: ObjectId::of(bytes), size: bytes.len() as u64 })
}

/// Which parts of two manifests of one name differ.
fn differing_parts(a: &Manifest, b: &Manifest) -> Vec<&'static str> {
    let parts = [
        ("root image", a.root != b.root),
        ("kernel", a.kernel != b.kernel),
        ("initramfs (agent, trusted root, drivers)", a.initramfs != b.initramfs),
        ("boot loader", a.bios != b.bios),
        ("packages", a.packages != b.packages),
        ("disk sizes", a.disk != b.disk),
        ("health", a.health != b.health),
        ("etc_state", a.etc_state != b.etc_state),
        ("counter", a.counter != b.counter),
        ("class", a.class != b.class),
        ("epoch", a.epoch != b.epoch),
        ("format", a.format != b.format),
        ("bill of materials", a.sbom != b.sbom),
    ];
    let provenance = provenance_differences(a.provenance.as_ref(), b.provenance.as_ref());
    parts.into_iter().chain(provenance).filter_map(|(name, differs)| differs.then_some(name)).collect()
}

/// Which inputs two records differ in.
pub(crate) fn provenance_differences(
    a: Option<&Provenance>,
    b: Option<&Provenance>,
) -> Vec<(&'static str, bool)> {
    let (Some(a), Some(b)) = (a, b) else {
        return vec![("provenance record", a.is_some() != b.is_some())];
    };
    vec![
        ("builder", a.builder != b.builder),
        ("recipe or overlays", a.recipe != b.recipe),
        ("agent", a.agent != b.agent),
        ("trusted root", a.trusted_root != b.trusted_root),
        ("archives", a.archives != b.archives),
        ("allowed secrets", a.allowed_secrets != b.allowed_secrets),
    ]
}

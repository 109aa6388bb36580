//! The stages of an image as types: only a [`Built`] one can be signed, only a [`Signed`] one published or pinned.

use anyhow::{Context as _, ensure};
use image_format::manifest::MANIFEST_MAX;
use image_format::repository::View;
use image_format::store::Store;
use image_format::{ImageName, Manifest, Sha256};

use crate::fsutil::read_limited;
use crate::publish::objects_of;
use crate::repo::Repo;
use crate::similar::hint;

/// An image whose manifest and objects lie in the local store, complete and consistent, signed by nobody.
#[derive(Debug)]
pub(crate) struct Built {
    digest: Sha256,
    manifest: Manifest,
    bytes: Vec<u8>,
}

impl Built {
    /// Loads a build and checks that it is all there.
    pub(crate) fn load(repo: &Repo, store: &Store, name: &ImageName) -> anyhow::Result<Self> {
        let path = repo.build_dir(name).join("manifest.json");
        if !path.is_file() {
            let builds = repo.builds()?.into_iter().map(|name| name.to_string());
            anyhow::bail!("no build of {name}{}", hint(&name.to_string(), builds));
        }
        let built = Self::read(&path)?;
        let found = &built.manifest.name;
        ensure!(found == name, "{}: expected the manifest of {name}, found that of {found}", path.display());
        built.check_objects(store)?;
        Ok(built)
    }

    /// The manifests of all builds: an image that is not signed yet is named by nothing else.
    pub(crate) fn all(repo: &Repo) -> anyhow::Result<Vec<Manifest>> {
        let path = |name: &ImageName| repo.build_dir(name).join("manifest.json");
        repo.builds()?.iter().map(|name| Ok(Self::read(&path(name))?.manifest)).collect()
    }

    /// Reads a manifest file without looking for its objects.
    pub(crate) fn read(path: &std::path::Path) -> anyhow::Result<Self> {
        let what = || format!("read manifest {}", path.display());
        let bytes = read_limited(path, MANIFEST_MAX).with_context(what)?;
        let manifest = Manifest::parse(&bytes).with_context(what)?;
        let canonical = manifest.to_bytes().with_context(what)?;
        ensure!(canonical == bytes, "{}: expected canonical JSON, found another spelling", path.display());
        Ok(Self { digest: Sha256::of(&bytes), manifest, bytes })
    }

    fn check_objects(&self, store: &Store) -> anyhow::Result<()> {
        let name = &self.manifest.name;
        for object in objects_of(store, &self.manifest)? {
            let found = store.size(object.id).with_context(|| format!("look for the objects of {name}"))?;
            let found_text = || found.map_or_else(|| "none".to_owned(), |size| format!("{size} bytes"));
            ensure!(
                found == Some(object.size),
                "{name}: object {}: expected {} bytes in the local store, found {}; build it again",
                object.id,
                object.size,
                found_text()
            );
        }
        Ok(())
    }

    /// The image's identity.
    pub(crate) fn digest(&self) -> Sha256 {
        self.digest
    }

    /// The description.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The canonical bytes, to be signed.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// An image that the verified metadata lists.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    name: ImageName,
    digest: Sha256,
    manifest: Manifest,
}

impl Signed {
    /// Looks `name` up in verified metadata.
    pub(crate) fn find(view: &View, repo: &Repo, name: &ImageName) -> anyhow::Result<Self> {
        if let Some((digest, manifest)) = view.images.get(name) {
            return Ok(Self { name: name.clone(), digest: *digest, manifest: manifest.clone() });
        }
        if repo.build_dir(name).is_dir() {
            anyhow::bail!("{name} is built but not signed; run `imgtool sign {name}`");
        }
        let known = view.images.keys().map(ToString::to_string);
        anyhow::bail!("unknown image {name}{}", hint(&name.to_string(), known))
    }

    /// All of them, in order of name.
    pub(crate) fn all(view: &View) -> Vec<Self> {
        let image = |(name, (digest, manifest)): (&ImageName, &(Sha256, Manifest))| Self {
            name: name.clone(),
            digest: *digest,
            manifest: manifest.clone(),
        };
        view.images.iter().map(image).collect()
    }

    /// Its name.
    pub(crate) fn name(&self) -> &ImageName {
        &self.name
    }

    /// The image's identity.
    pub(crate) fn digest(&self) -> Sha256 {
        self.digest
    }

    /// The description.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

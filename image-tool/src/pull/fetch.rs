//! Metadata and targets.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use image_format::patches::Patches;
use image_format::repository::{Repository, TargetFile, TargetKind, Upload};
use image_format::store::Store;
use image_format::{ImageName, Manifest, Sha256};
use signing::client::{load_all, refresh};
use signing::metadata::{Targets, file_name};
use signing::{Client, TrustError, TrustedFiles, UnixTime};

use crate::source::Source;

/// What is published there, verified.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// Metadata and targets.
    pub(crate) upload: Upload,
    /// Version and digest of each role.
    pub(crate) roles: BTreeMap<String, (u64, Sha256)>,
    /// Images that are not among the known ones.
    pub(crate) images: BTreeMap<ImageName, Manifest>,
    /// The patches to all images.
    pub(crate) patches: Vec<Patches>,
}

/// Fetches metadata, from `trusted` on, and all targets that it lists and `store` lacks.
pub(crate) fn fetch(
    trusted: TrustedFiles,
    store: &Store,
    known: &BTreeSet<ImageName>,
    source: &Source,
    now: UnixTime,
) -> anyhow::Result<Fetched> {
    let repository = Repository::open(store);
    let first_root = trusted.root.clone();
    let mut client = Client::new(trusted, now)?;
    let mut upload = Upload::default();
    if client.root().version == 1 {
        upload.metadata.insert(file_name("root", Some(1)), first_root);
    }
    let mut get = |wanted: &signing::Fetch| -> anyhow::Result<Option<Vec<u8>>> {
        let bytes = source.metadata(&wanted.name, wanted.max_len)?;
        upload.metadata.extend(bytes.iter().map(|bytes| (wanted.name.clone(), bytes.clone())));
        Ok(bytes)
    };
    let unwrapped = |error| match error {
        signing::RefreshError::Fetch { name, source } => {
            anyhow::Error::context(source, format!("fetch {name}"))
        }
        signing::RefreshError::Trust(error @ TrustError::Rollback { .. }) => anyhow::Error::new(error)
            .context("this repository is ahead: `imgtool publish` brings the other side up"),
        signing::RefreshError::Trust(error) => anyhow::Error::new(error),
    };
    refresh(&mut client, &mut get).map_err(unwrapped)?;
    load_all(&mut client, &mut get).map_err(unwrapped)?;
    // The timestamp as trusted: the client keeps its own when the version is the same.
    let timestamp = client.trusted().timestamp.clone().context("no timestamp")?;
    upload.metadata.insert(file_name("timestamp", None), timestamp);

    let (mut images, mut patches) = (BTreeMap::new(), Vec::new());
    for role in ["releases", "pins"] {
        let role = client.role(role).with_context(|| format!("no role {role}"))?;
        targets(&repository, source, role, &mut upload)?;
    }
    for (name, bytes) in &upload.targets {
        match name.parse::<TargetFile>()?.kind {
            TargetKind::Image(image) if !known.contains(&image) => {
                images.insert(image, Manifest::parse(bytes).with_context(|| name.clone())?);
            }
            TargetKind::Patches(_) => patches.push(Patches::parse(bytes).with_context(|| name.clone())?),
            _ => {}
        }
    }
    Ok(Fetched { roles: roles(&client), upload, images, patches })
}

fn roles(client: &Client) -> BTreeMap<String, (u64, Sha256)> {
    let TrustedFiles { root, targets, delegated, .. } = client.trusted();
    let mut roles = BTreeMap::from([("root".to_owned(), (client.root().version, Sha256::of(root)))]);
    let delegated = delegated.iter().map(|(role, bytes)| (role.as_str(), bytes));
    for (role, bytes) in delegated.chain(targets.iter().map(|bytes| ("targets", bytes))) {
        let content = client.role(role);
        roles.extend(content.map(|content| (role.to_owned(), (content.version, Sha256::of(bytes)))));
    }
    roles
}

/// Reads the listed documents, from here if they are here, else from there.
fn targets(
    repository: &Repository<'_>,
    source: &Source,
    role: &Targets,
    upload: &mut Upload,
) -> anyhow::Result<()> {
    for (path, target) in &role.targets {
        let kind = TargetKind::of_path(path).with_context(|| format!("{path}: unknown kind of target"))?;
        let sha256 = target.hashes.get_sha256().with_context(|| format!("{path}: no SHA-256"))?;
        let file = TargetFile { sha256: Sha256::from_bytes(sha256), kind };
        let name = file.to_string();
        let known = repository.read_target(&name)?.filter(|bytes| Sha256::of(bytes) == file.sha256);
        let bytes = match known {
            Some(bytes) => bytes,
            None => source.target(&name, file.max_len())?,
        };
        let found = Sha256::of(&bytes);
        ensure!(found == file.sha256, "{name}: content has SHA-256 {found}");
        upload.targets.insert(name, bytes);
    }
    Ok(())
}

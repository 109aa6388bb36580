//! `imgtool pull`: what somebody else signed comes into the local store.
//!
//! Metadata goes through the TUF client from what this repository trusts; then the objects of images that are new here, in
//! batches that stay when the rest fails; the metadata is committed last.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use image_format::repository::{Repository, TargetFile, TargetKind, Upload, View};
use image_format::store::Store;
use image_format::{ImageName, Manifest, Sha256};
use serde::Serialize;
use signing::client::{load_all, refresh};
use signing::metadata::{Targets, file_name};
use signing::{Client, TrustError, UnixTime};

use crate::cli::Context;
use crate::clock;
use crate::publish::objects_of;
use crate::repo::Repo;
use crate::source::Source;
use crate::ui::progress::Progress;
use crate::ui::size::plural;
use crate::ui::style::strong;

const EXAMPLES: &str = "\
Examples:
  imgtool pull --from http://boot.example:7080    a server's delivery listener
  imgtool pull --from /srv/bascule                a store directory";

/// Stored bytes that are made durable together.
const BATCH: u64 = 64 << 20;

/// Bring newer signed metadata, and the images that it lists, into the local store
///
/// Needed when another admin, or another copy of this repository, has published in between.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Delivery listener (http://HOST:7080) or store directory [default: `remote` of bascule.toml, if it is a directory]
    #[arg(long, value_name = "URL|DIR")]
    from: Option<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    from: String,
    /// False if this repository had everything.
    changed: bool,
    new_images: Vec<ImageName>,
    new_objects: u64,
    new_bytes: u64,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let repo = Repo::open(&context.repo)?;
    let source = open(args, &repo)?;
    let _lock = repo.lock()?;
    let store = repo.store()?;
    let now = clock::now()?;
    let view = repo.view(&store)?;
    let fetched =
        fetch(&store, &view, &source, now).with_context(|| format!("pull from {}", source.name()))?;
    let mut report = Report {
        from: source.name(),
        changed: false,
        new_images: fetched.images.keys().cloned().collect(),
        new_objects: 0,
        new_bytes: 0,
    };
    for (name, manifest) in &fetched.images {
        let progress = context.ui.spinner(&format!("fetching {name}"));
        let (objects, bytes) = objects(&store, &source, manifest, &progress)
            .with_context(|| format!("fetch the objects of {name}"))?;
        report.new_objects += objects;
        report.new_bytes += bytes;
    }
    let committed =
        Repository::open(&store).commit(fetched.upload, now).context("commit to the local store")?;
    report.changed = committed.changed;
    context.ui.show(&report, text)
}

fn open(args: &Args, repo: &Repo) -> anyhow::Result<Source> {
    match (&args.from, &repo.config().remote) {
        (Some(from), _) => Source::open(from),
        (None, Some(remote)) if !remote.contains("://") => Source::open(remote),
        _ => bail!("name the server's delivery listener with --from http://HOST:7080, or a store directory"),
    }
}

struct Fetched {
    upload: Upload,
    /// Images that the local store does not list.
    images: BTreeMap<ImageName, Manifest>,
}

/// Verified metadata, and all targets that it lists.
fn fetch(store: &Store, view: &View, source: &Source, now: UnixTime) -> anyhow::Result<Fetched> {
    let repository = Repository::open(store);
    let trusted = repository.trusted()?.context("the local store has no metadata")?;
    let mut client = Client::new(trusted, now)?;
    let mut upload = Upload::default();
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

    let mut images = BTreeMap::new();
    for role in ["releases", "pins"] {
        let role = client.role(role).with_context(|| format!("no role {role}"))?;
        targets(&repository, source, role, &mut upload)?;
    }
    for (name, bytes) in &upload.targets {
        if let TargetKind::Image(image) = name.parse::<TargetFile>()?.kind
            && !view.images.contains_key(&image)
        {
            images.insert(image, Manifest::parse(bytes).with_context(|| name.clone())?);
        }
    }
    Ok(Fetched { upload, images })
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

/// Fetches what the local store lacks of an image. Returns the number of objects and their bytes.
fn objects(
    store: &Store,
    source: &Source,
    manifest: &Manifest,
    progress: &Progress,
) -> anyhow::Result<(u64, u64)> {
    // The index first: it says what else there is.
    let index = manifest.root.index;
    let mut total = get_all(store, source, &[(index.id, index.size)], progress)?;
    let wanted: Vec<_> =
        objects_of(store, manifest)?.into_iter().map(|object| (object.id, object.size)).collect();
    let (mut start, mut size) = (0, 0);
    for end in 1..=wanted.len() {
        size += wanted[end - 1].1;
        if size >= BATCH || end == wanted.len() {
            let (objects, bytes) = get_all(store, source, &wanted[start..end], progress)?;
            total = (total.0 + objects, total.1 + bytes);
            (start, size) = (end, 0);
        }
    }
    Ok(total)
}

fn get_all(
    store: &Store,
    source: &Source,
    wanted: &[(image_format::ObjectId, u64)],
    progress: &Progress,
) -> anyhow::Result<(u64, u64)> {
    let mut batch = store.batch()?;
    for (id, size) in wanted {
        if store.size(*id)? != Some(*size) {
            progress.message(id.short());
            batch.put_expected(*id, &source.object(*id, *size)?)?;
        }
    }
    let counts = batch.commit()?;
    Ok((counts.stored, counts.stored_bytes))
}

fn text(report: &Report) -> String {
    if !report.changed {
        return format!("Nothing new at {}\n", report.from);
    }
    let names: Vec<String> = report.new_images.iter().map(|name| strong(name).clone()).collect();
    let objects = usize::try_from(report.new_objects).unwrap_or(usize::MAX);
    let images = if names.is_empty() { "no new image".to_owned() } else { names.join(", ") };
    format!("Pulled from {}: {images}, {}\n", report.from, plural(objects, "new object"))
}

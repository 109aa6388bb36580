//! `imgtool init`: keys, signed empty metadata, an empty store.
//!
//! Everything is made in a directory beside the final one, made durable and renamed: killed at any moment, there is a complete
//! repository or none.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use image_format::repository::{Repository, Upload};
use image_format::store::Store;
use serde::Serialize;
use signing::SecretKey;
use signing::repo::{Lifetimes, Repository as Model, RoleKeys};

use crate::clock;
use crate::context::Context;
use crate::fsutil::{self, PUBLIC};
use crate::keys::{self, KeyRole};
use crate::repo::config::{self, Config};
use crate::ui::style::strong;
use crate::ui::table::properties;

const EXAMPLES: &str = "\
Examples:
  imgtool init
  imgtool init --repo /srv/bascule --remote http://boot.example:7081 --token-file /root/admin.token";

/// Make a new repository: keys, root of trust, local store
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where images will be published: a server's admin listener or a store directory
    #[arg(long, value_name = "URL|DIR")]
    remote: Option<String>,

    /// File with the server's token; its path is kept, not its content
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    repository: PathBuf,
    root: PathBuf,
    remote: Option<String>,
    keys: Vec<Key>,
}

#[derive(Debug, Serialize)]
struct Key {
    role: KeyRole,
    keyid: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let dir = std::path::absolute(&context.repo).context("make a repository")?;
    refuse_existing(&dir)?;
    let config = config(args)?;
    let name = dir.file_name().with_context(|| format!("{}: expected a directory name", dir.display()))?;
    let parent = dir.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).with_context(|| format!("create directory {}", parent.display()))?;
    let draft = parent.join(format!(".{}.init-{}", name.display(), std::process::id()));
    let made = make(&draft, &config).and_then(|keys| {
        fs::rename(&draft, &dir).with_context(|| format!("move the new repository to {}", dir.display()))?;
        fsutil::sync_dir(parent)?;
        Ok(keys)
    });
    if made.is_err() {
        // The error at hand matters more than a leftover directory whose name says what it is.
        let _ = fs::remove_dir_all(&draft);
    }
    let report = Report { root: dir.join("root.json"), repository: dir, remote: config.remote, keys: made? };
    context.ui.show(&report, text)
}

fn refuse_existing(dir: &Path) -> anyhow::Result<()> {
    let mut entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("look at {}", dir.display()))?,
    };
    if dir.join(config::FILE).exists() {
        bail!("{}: a repository exists there already; nothing was changed", dir.display());
    }
    if entries.next().is_some() {
        bail!("{}: expected a new or empty directory, found files in it", dir.display());
    }
    Ok(())
}

/// Paths are kept as absolute ones, because later commands may run elsewhere.
fn config(args: &Args) -> anyhow::Result<Config> {
    let absolute =
        |path: &Path| std::path::absolute(path).with_context(|| format!("find {}", path.display()));
    let remote = match &args.remote {
        Some(remote) if !remote.contains("://") => Some(absolute(Path::new(remote))?.display().to_string()),
        remote => remote.clone(),
    };
    let token_file = args.token_file.as_deref().map(absolute).transpose()?;
    Ok(Config { remote, token_file, ..Config::default() })
}

fn make(dir: &Path, config: &Config) -> anyhow::Result<Vec<Key>> {
    let create =
        |dir: &Path| fs::create_dir(dir).with_context(|| format!("create directory {}", dir.display()));
    create(dir)?;
    let keys_dir = keys::key_dir(dir);
    let made = fs::DirBuilder::new().mode(0o700).create(&keys_dir);
    made.with_context(|| format!("create directory {}", keys_dir.display()))?;
    create(&dir.join("builds"))?;
    let mut secret = RoleKeys::default();
    let mut report = Vec::new();
    for role in KeyRole::ALL {
        let key = SecretKey::generate().with_context(|| format!("make the key of role {role}"))?;
        keys::save(&keys_dir.join(format!("{role}.pem")), &key, None)?;
        report.push(Key { role, keyid: key.public().id().to_string() });
        secret.of_mut(role.role()).push(key);
    }
    let now = clock::now()?;
    let mut model = Model::create(&secret, Lifetimes::default());
    let metadata = model.write(&secret, now).context("sign the first metadata")?;
    fsutil::create(&dir.join("root.json"), &model.files().root, PUBLIC)?;
    let store = Store::create(dir.join("store")).context("make the local store")?;
    let upload = Upload { metadata, ..Upload::default() };
    Repository::open(&store).commit(upload, now).context("commit the first metadata")?;
    fsutil::create(&dir.join(config::FILE), config.text()?.as_bytes(), PUBLIC)?;
    Ok(report)
}

fn text(report: &Report) -> String {
    let keys: Vec<(String, String)> =
        report.keys.iter().map(|key| (key.role.to_string(), key.keyid.clone())).collect();
    let keys: Vec<(&str, String)> = keys.iter().map(|(role, id)| (role.as_str(), id.clone())).collect();
    format!(
        "New repository {}\n\n{}\nKeep {}/keys safe: who has them can sign for your nodes. Next: imgtool build ROLE\n",
        strong(report.repository.display()),
        properties(&keys),
        report.repository.display()
    )
}

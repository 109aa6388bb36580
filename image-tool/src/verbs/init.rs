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
use signing::repo::{Lifetimes, Repository as Model, RoleKeys};
use signing::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::clock;
use crate::context::Context;
use crate::fsutil::{self, PUBLIC};
use crate::keys::{self, KeyRole};
use crate::pending;
use crate::repo::config::{self, Config};
use crate::ui::style::{dim, strong};
use crate::ui::table::properties;

const EXAMPLES: &str = "\
Examples:
  imgtool init --encrypt                              2 of 3 keys for root and targets, to be kept in three places
  imgtool init --single-key                           a lab: one key a role
  imgtool init --online-keys keys.json                of imgserver keys new --json: the server signs snapshot and timestamp
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

    /// One key for every role: for labs and demonstrations. Who gets the root key owns the nodes, who loses it loses them
    #[arg(long)]
    single_key: bool,

    /// Encrypt the keys of root, targets, releases and pins with a passphrase, which is asked for at the terminal
    #[arg(long)]
    encrypt: bool,

    /// Let a server sign snapshot and timestamp: the public keys that `imgserver keys new --json` prints
    #[arg(long, value_name = "FILE")]
    online_keys: Option<PathBuf>,
}

/// How many keys root and targets have unless `--single-key` is given, and how many of them must sign.
const KEYS: u32 = 3;
const THRESHOLD: u32 = 2;

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
    /// None: the secret half is a server's.
    file: Option<PathBuf>,
}

/// What the repository is to be made with.
struct Wanted {
    config: Config,
    single_key: bool,
    /// For the keys of root, targets, releases and pins.
    passphrase: Option<Zeroizing<String>>,
    /// Keys of snapshot and timestamp, if a server signs.
    online: Option<Vec<(KeyRole, PublicKey)>>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let dir = std::path::absolute(&context.repo).context("make a repository")?;
    refuse_existing(&dir)?;
    let wanted = Wanted {
        config: config(args)?,
        single_key: args.single_key,
        passphrase: args.encrypt.then(|| context.passphrases.choose(&keys::key_dir(&dir))).transpose()?,
        online: args.online_keys.as_deref().map(keys::online_keys).transpose()?,
    };
    let name = dir.file_name().with_context(|| format!("{}: expected a directory name", dir.display()))?;
    let parent = dir.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).with_context(|| format!("create directory {}", parent.display()))?;
    let draft = parent.join(format!(".{}.init-{}", name.display(), std::process::id()));
    let made = make(&draft, &wanted).and_then(|keys| {
        fs::rename(&draft, &dir).with_context(|| format!("move the new repository to {}", dir.display()))?;
        fsutil::sync_dir(parent)?;
        Ok(keys)
    });
    if made.is_err() {
        // The error at hand matters more than a leftover directory whose name says what it is.
        let _ = fs::remove_dir_all(&draft);
    }
    let mut made = made?;
    for key in &mut made {
        key.file = key.file.take().map(|file| keys::key_dir(&dir).join(file));
    }
    let remote = wanted.config.remote;
    let report = Report { root: dir.join("root.json"), repository: dir, remote, keys: made };
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

fn make(dir: &Path, wanted: &Wanted) -> anyhow::Result<Vec<Key>> {
    let create =
        |dir: &Path| fs::create_dir(dir).with_context(|| format!("create directory {}", dir.display()));
    create(dir)?;
    let keys_dir = keys::key_dir(dir);
    let made = fs::DirBuilder::new().mode(0o700).create(&keys_dir);
    made.with_context(|| format!("create directory {}", keys_dir.display()))?;
    create(&dir.join("builds"))?;
    let (mut secret, mut report) = (RoleKeys::default(), Vec::new());
    for role in KeyRole::ALL {
        make_keys(role, wanted, &keys_dir, &mut secret, &mut report)?;
    }
    let now = clock::now()?;
    let mut model = Model::create(&secret, Lifetimes::default());
    if !wanted.single_key {
        for role in [KeyRole::Root, KeyRole::Targets] {
            model.set_signers(role.role(), &secret.public(role.role()), THRESHOLD)?;
        }
    }
    let store = Store::create(dir.join("store")).context("make the local store")?;
    let what = "sign the first metadata";
    if let Some(online) = &wanted.online {
        for role in [KeyRole::Snapshot, KeyRole::Timestamp] {
            let keys: Vec<PublicKey> =
                online.iter().filter(|(of, _)| *of == role).map(|(_, key)| *key).collect();
            model.set_signers(role.role(), &keys, 1)?;
        }
        let mut proposal = model.propose(now).context(what)?;
        for role in proposal.roles() {
            for key in secret.of(role) {
                proposal.sign(&model, role, key).context(what)?;
            }
        }
        model.accept(&proposal).context(what)?;
        let upload = Upload { metadata: model.accepted().clone(), ..Upload::default() };
        // Without snapshot and timestamp it cannot take effect: the server makes them when it is published.
        pending::push(&dir.join("pending"), &upload)?;
    } else {
        let metadata = model.write(&secret, now).context(what)?;
        let upload = Upload { metadata, ..Upload::default() };
        Repository::open(&store).commit(upload, now).context("commit the first metadata")?;
    }
    fsutil::create(&dir.join("root.json"), &model.files().root, PUBLIC)?;
    fsutil::create(&dir.join(config::FILE), wanted.config.text()?.as_bytes(), PUBLIC)?;
    Ok(report)
}

fn make_keys(
    role: KeyRole,
    wanted: &Wanted,
    dir: &Path,
    secret: &mut RoleKeys,
    report: &mut Vec<Key>,
) -> anyhow::Result<()> {
    let is_moving = matches!(role, KeyRole::Snapshot | KeyRole::Timestamp);
    if let Some(online) = wanted.online.as_ref().filter(|_| is_moving) {
        let of_role = online.iter().filter(|(of, _)| *of == role);
        report.extend(of_role.map(|(_, key)| Key { role, keyid: key.id().to_string(), file: None }));
        return Ok(());
    }
    let several = matches!(role, KeyRole::Root | KeyRole::Targets) && !wanted.single_key;
    let names: Vec<String> = match several {
        true => (1..=KEYS).map(|number| format!("{role}-{number}.pem")).collect(),
        false => vec![format!("{role}.pem")],
    };
    // Snapshot and timestamp are signed by timers, where nobody types.
    let passphrase = wanted.passphrase.as_ref().filter(|_| !is_moving).map(|passphrase| passphrase.as_str());
    for name in names {
        let key = SecretKey::generate().with_context(|| format!("make a key of role {role}"))?;
        keys::save(&dir.join(&name), &key, passphrase)?;
        report.push(Key { role, keyid: key.public().id().to_string(), file: Some(name.into()) });
        secret.of_mut(role.role()).push(key);
    }
    Ok(())
}

fn text(report: &Report) -> String {
    let keys: Vec<(String, String)> =
        report.keys.iter().map(|key| (key.role.to_string(), line(key))).collect();
    let keys: Vec<(&str, String)> = keys.iter().map(|(role, line)| (role.as_str(), line.clone())).collect();
    let several = report.keys.iter().filter(|key| key.role == KeyRole::Root).count() > 1;
    let dir = report.repository.display();
    let care = match several {
        true => format!(
            "Root and targets need {THRESHOLD} of their {KEYS} keys. Take {dir}/keys/root-*.pem and targets-*.pem to three places, and remove them here."
        ),
        false => format!("Keep {dir}/keys safe: who has them can sign for your nodes."),
    };
    format!("New repository {}\n\n{}\n{care} Next: imgtool build ROLE\n", strong(dir), properties(&keys))
}

fn line(key: &Key) -> String {
    let name = key.file.as_ref().and_then(|file| file.file_name()).map(|name| name.display().to_string());
    format!("{}  {}", key.keyid, dim(name.unwrap_or_else(|| "signed by the server".to_owned())))
}

//! Getting targets.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use signing::metadata::file_name;
use signing::{Client, TargetInfo, find_target};

use crate::fetch::Source;
use crate::store;

/// Longest target that is kept in memory (bytes).
const TARGET_MAX: u64 = 64 << 20;

/// What to download, from where, to where.
pub(crate) struct Wanted {
    pub(crate) names: Vec<String>,
    pub(crate) directory: PathBuf,
    pub(crate) source: Source,
}

/// Gets all targets in order; stops at the first that fails.
pub(crate) fn all(client: &mut Client, metadata: &Source, wanted: &Wanted) -> Result<()> {
    for name in &wanted.names {
        let found = find_target(client, name, |file| metadata.metadata(file))?;
        let target = found.with_context(|| format!("target {name:?} not found"))?;
        one(&target, client.root().consistent_snapshot, wanted)
            .with_context(|| format!("download target {name:?}"))?;
    }
    Ok(())
}

/// Gets one target unless it is there already.
fn one(target: &TargetInfo, consistent: bool, wanted: &Wanted) -> Result<()> {
    let TargetInfo { path, length, .. } = target;
    // As safe a file name as that of a role.
    let file = wanted.directory.join(file_name(path, None).trim_end_matches(".json"));
    if fs::read(&file).is_ok_and(|bytes| target.matches(&bytes)) {
        return Ok(());
    }
    ensure!(*length <= TARGET_MAX, "{length} bytes are signed, at most {TARGET_MAX} are read");
    let body =
        wanted.source.get(&url_path(target, consistent), *length)?.context("the server has no such file")?;
    ensure!(target.matches(&body), "the server's {} bytes are not the signed target", body.len());
    store::write(&file, &body)
}

/// Under consistent snapshots the hash stands before the last name.
fn url_path(target: &TargetInfo, consistent: bool) -> String {
    let hash = target.hashes.get("sha256").or_else(|| target.hashes.get("sha512"));
    match (hash.filter(|_| consistent), target.path.rsplit_once('/')) {
        (Some(hash), Some((directory, name))) => format!("{directory}/{hash}.{name}"),
        (Some(hash), None) => format!("{hash}.{}", target.path),
        (None, _) => target.path.clone(),
    }
}

//! Giving up what was signed only here.

use std::fs;

use anyhow::Context as _;
use image_format::repository::{Repository, Upload};
use image_format::store::Store;
use signing::UnixTime;

use crate::repo::Repo;

/// Puts verified metadata in the place of the present one. The old files move aside and are removed only when the new ones are
/// in force; killed in between, the same command does it again.
pub(crate) fn replace(repo: &Repo, store: &Store, upload: Upload, now: UnixTime) -> anyhow::Result<bool> {
    let (tuf, aside) = (store.path().join("tuf"), repo.dir().join("discarded"));
    let present = Repository::open(store).export().ok().flatten();
    if present.as_ref().is_some_and(|present| {
        present.metadata.get("timestamp.json") == upload.metadata.get("timestamp.json")
    }) {
        return Ok(false);
    }
    let what = || format!("move {} aside", tuf.display());
    if tuf.join("metadata/timestamp.json").exists() {
        if aside.exists() {
            fs::remove_dir_all(&aside).with_context(what)?;
        }
        fs::rename(&tuf, &aside).with_context(what)?;
    }
    let committed = Repository::open(store).commit(upload, now).context("commit to the local store");
    if let Err(error) = committed {
        // The former state is better than none; if it cannot come back, it is still there under the other name.
        let back = fs::remove_dir_all(&tuf).and_then(|()| fs::rename(&aside, &tuf));
        return Err(match back {
            Ok(()) => error.context("nothing was changed"),
            Err(_) => error.context(format!("the former metadata is in {}", aside.display())),
        });
    }
    fs::remove_dir_all(&aside).with_context(|| format!("remove {}", aside.display()))?;
    Ok(true)
}

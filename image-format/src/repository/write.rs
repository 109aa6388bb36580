//! Putting a verified state in the place of the present one.

use std::path::PathBuf;

use super::commit::Next;
use super::listing::Listing;
use super::names::TIMESTAMP;
use super::{CommitError, Repository, Upload, load};
use crate::store::{StoreError, files};

impl Repository<'_> {
    /// Everything durable, then visible; the timestamp last. Returns whether there was anything to write.
    pub(super) fn write(&self, next: &Next, listing: &Listing, upload: &Upload) -> Result<bool, CommitError> {
        let temp = self.store.temp_dir()?;
        let mut moves = Vec::new();
        let mut stage = |bytes: &[u8], target: PathBuf| -> Result<(), StoreError> {
            // What cannot be read, or is longer, is replaced as well.
            let present = files::read_regular(&target, bytes.len() as u64);
            if present.is_ok_and(|present| present.as_deref() == Some(bytes)) {
                return Ok(());
            }
            let path = temp.path().join(moves.len().to_string());
            files::write_new(&path, bytes)?;
            moves.push((path, target));
            Ok(())
        };
        for listed in listing.files() {
            let name = listed.file.to_string();
            if let Some(bytes) = upload.targets.get(&name) {
                stage(bytes, self.target_path(&name))?;
            }
        }
        let (timestamp, others) = next.files.split_last().ok_or(CommitError::NoTimestamp)?;
        // New roots go last: clients take them without a look at the timestamp.
        for (name, bytes) in others.iter().chain(&next.roots) {
            stage(bytes, self.metadata_path(name))?;
        }
        if moves.is_empty() && self.read_metadata(TIMESTAMP)?.as_ref() == Some(&timestamp.1) {
            // An earlier commit of the same may have failed on the very last step.
            files::sync_dir(&self.tuf().join("metadata"))?;
            return Ok(false);
        }
        let staged = temp.path().join(TIMESTAMP);
        files::write_new(&staged, &timestamp.1)?;

        // Also what others have inserted: the objects, and files that an earlier, killed commit left.
        files::sync_filesystem(temp.path())?;
        moves.iter().try_for_each(|(from, to)| files::rename(from, to))?;
        self.remove_stray_roots(next.client.root().version)?;
        for dir in ["targets/images", "targets/pins", "targets", "metadata", ""] {
            files::sync_dir(&self.tuf().join(dir))?;
        }
        files::rename(&staged, &self.metadata_path(TIMESTAMP))?;
        files::sync_dir(&self.tuf().join("metadata"))?;
        Ok(true)
    }

    /// Removes roots of a killed commit that this one does not go on from: clients would follow them.
    fn remove_stray_roots(&self, newest: u64) -> Result<(), StoreError> {
        for name in self.metadata_names()? {
            if load::root_version(&name).is_some_and(|version| version > newest) {
                files::remove(&self.metadata_path(&name))?;
            }
        }
        Ok(())
    }
}

//! Signing what changed.

use std::collections::BTreeMap;

use super::sign::{authorised, sign_envelope};
use super::{RepoError, Repository, RoleKeys, RoleName, Section};
use crate::client::Client;
use crate::limits::ROOT_MAX_LEN;
use crate::metadata::{Envelope, MetaFile, Root, Signers, file_name};
use crate::secret::SecretKey;
use crate::time::UnixTime;

impl Repository {
    /// Signs what changed since the last write, and a new snapshot and timestamp: file name → bytes, to be made durable with
    /// `timestamp.json` last.
    ///
    /// Needs the keys of the changed roles and of snapshot and timestamp. A changed root is signed by the keys of the old
    /// *and* of the new root.
    ///
    /// # Errors
    /// [`RepoError::NotEnoughKeys`], or [`RepoError::Trust`] if clients would refuse the result. Nothing has changed then.
    pub fn write(&mut self, keys: &RoleKeys, now: UnixTime) -> Result<BTreeMap<String, Vec<u8>>, RepoError> {
        let mut next = self.clone();
        let mut out = BTreeMap::new();
        next.write_root(keys, now, &mut out)?;
        for section in [Section::Releases, Section::Pins, Section::Targets] {
            next.write_section(section, keys, now, &mut out)?;
        }
        next.write_snapshot(keys, now, &mut out)?;
        next.write_timestamp(keys, now, &mut out)?;
        Client::offline(next.written.clone())?;
        *self = next;
        Ok(out)
    }

    fn write_root(&mut self, keys: &RoleKeys, now: UnixTime, out: &mut Files) -> Result<(), RepoError> {
        if !self.root.is_changed() {
            return Ok(());
        }
        let root = &mut self.root.content;
        root.version = following(RoleName::Root, root.version)?;
        root.expires = now.plus_days(self.lifetimes.root);
        let mut signing = authorised("root", &keys.root, &root.roles.root)?;
        if let Some(old) = &self.root.written {
            let previous = authorised("root", &keys.root, &old.roles.root)?;
            let more =
                previous.into_iter().filter(|key| !root.roles.root.keyids.contains(&key.public().id()));
            signing.extend(more);
        }
        let file = signed(RoleName::Root, root, &signing)?;
        if let Some(old) = &self.root.written {
            Envelope::parse("root", &file, ROOT_MAX_LEN)?.verify(&old.keys, &old.roles.root)?;
        }
        out.insert(file_name("root", Some(root.version)), file.clone());
        self.written.root = file;
        self.root.written = Some(root.clone());
        self.root.renew = false;
        Ok(())
    }

    fn write_section(
        &mut self,
        section: Section,
        keys: &RoleKeys,
        now: UnixTime,
        out: &mut Files,
    ) -> Result<(), RepoError> {
        let name = section.role();
        let days = match section {
            Section::Targets => self.lifetimes.targets,
            Section::Releases | Section::Pins => self.lifetimes.delegated,
        };
        let signers = self.signers(section);
        let role = self.role_of_mut(section);
        if !role.is_changed() {
            return Ok(());
        }
        role.content.version = following(name, role.content.version)?;
        role.content.expires = now.plus_days(days);
        let file = signed(name, &role.content, &authorised(name.as_str(), keys.of(name), &signers)?)?;
        let version = role.content.version;
        role.written = Some(role.content.clone());
        role.renew = false;
        out.insert(file_name(name.as_str(), Some(version)), file.clone());
        let listed = MetaFile::of(version, &file);
        match section {
            Section::Targets => {
                self.snapshot.meta.targets = listed;
                self.written.targets = Some(file);
            }
            Section::Releases | Section::Pins => {
                self.snapshot.meta.delegated.insert(format!("{}.json", name.as_str()), listed);
                self.written.delegated.insert(name.as_str().to_owned(), file);
            }
        }
        Ok(())
    }

    fn write_snapshot(&mut self, keys: &RoleKeys, now: UnixTime, out: &mut Files) -> Result<(), RepoError> {
        let (name, snapshot) = (RoleName::Snapshot, &mut self.snapshot);
        snapshot.version = following(name, snapshot.version)?;
        snapshot.expires = now.plus_days(self.lifetimes.snapshot);
        let signers = &self.root.content.roles.snapshot;
        let file = signed(name, snapshot, &authorised(name.as_str(), &keys.snapshot, signers)?)?;
        self.timestamp.meta.snapshot = MetaFile::of(snapshot.version, &file);
        out.insert(file_name(name.as_str(), Some(snapshot.version)), file.clone());
        self.written.snapshot = Some(file);
        Ok(())
    }

    fn write_timestamp(&mut self, keys: &RoleKeys, now: UnixTime, out: &mut Files) -> Result<(), RepoError> {
        let (name, timestamp) = (RoleName::Timestamp, &mut self.timestamp);
        timestamp.version = following(name, timestamp.version)?;
        timestamp.expires = now.plus_days(self.lifetimes.timestamp);
        let signers = &self.root.content.roles.timestamp;
        let file = signed(name, timestamp, &authorised(name.as_str(), &keys.timestamp, signers)?)?;
        out.insert(file_name(name.as_str(), None), file.clone());
        self.written.timestamp = Some(file);
        Ok(())
    }

    /// Who signs a section; nobody for a delegation that does not exist, which then lacks keys only on paper and is refused
    /// by the final check.
    fn signers(&self, section: Section) -> Signers {
        let Root { roles, .. } = &self.root.content;
        let delegations = self.targets.content.delegations.as_ref();
        let mut delegated = delegations.into_iter().flat_map(|delegations| &delegations.roles);
        match section {
            Section::Targets => roles.targets.clone(),
            Section::Releases | Section::Pins => delegated
                .find(|delegation| delegation.name == section.role().as_str())
                .map_or(Signers { keyids: Vec::new(), threshold: 1 }, |delegation| {
                    delegation.signers.clone()
                }),
        }
    }
}

type Files = BTreeMap<String, Vec<u8>>;

fn signed<T: serde::Serialize>(
    role: RoleName,
    content: &T,
    keys: &[&SecretKey],
) -> Result<Vec<u8>, RepoError> {
    sign_envelope(content, keys).map_err(|source| RepoError::Json { role: role.as_str().to_owned(), source })
}

fn following(role: RoleName, version: u64) -> Result<u64, RepoError> {
    let next = version.checked_add(1).filter(|next| i64::try_from(*next).is_ok());
    next.ok_or_else(|| RepoError::LastVersion { role: role.as_str().to_owned() })
}

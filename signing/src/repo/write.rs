//! From changes to signed files.

use std::collections::BTreeMap;

use super::{Proposal, Repository, Role, RoleKeys, RoleName, Section};
use crate::json::to_value;
use crate::metadata::{RoleMetadata, file_name};
use crate::online::{OnlineKeys, OnlineLifetimes, Versions};
use crate::sign::{SignError, following};
use crate::time::UnixTime;

const SECONDS_PER_DAY: i64 = 86_400;

impl Repository {
    /// The changed roles with their next versions and new expiry, signed by nobody. Snapshot and timestamp are never among them.
    ///
    /// # Errors
    /// [`SignError::LastVersion`], or [`SignError::Json`] for content that cannot be written.
    pub fn propose(&self, now: UnixTime) -> Result<Proposal, SignError> {
        let mut proposal = Proposal::default();
        if self.root.is_changed() {
            let mut root = self.root.content.clone();
            root.version = following("root", root.version)?;
            root.expires = now.plus_days(self.lifetimes.root);
            proposal.add(RoleName::Root, to_value(&root).map_err(SignError::json("root"))?)?;
        }
        for section in [Section::Targets, Section::Releases, Section::Pins] {
            let (role, name) = (self.role_of(section), section.role());
            if !role.is_changed() {
                continue;
            }
            let days = match section {
                Section::Targets => self.lifetimes.targets,
                Section::Releases | Section::Pins => self.lifetimes.delegated,
            };
            let mut content = role.content.clone();
            content.version = following(name.as_str(), content.version)?;
            content.expires = now.plus_days(days);
            proposal.add(name, to_value(&content).map_err(SignError::json(name.as_str()))?)?;
        }
        Ok(proposal)
    }

    /// Takes a proposal whose every role has enough signatures and follows the present version. Changes to these roles that
    /// were not proposed are given up. [`Repository::complete`] makes it visible to clients.
    ///
    /// # Errors
    /// [`SignError::NotEnoughKeys`], [`SignError::Stale`], [`SignError::Trust`]; nothing has changed then.
    pub fn accept(&mut self, proposal: &Proposal) -> Result<(), SignError> {
        for role in proposal.roles() {
            let expected = following(role.as_str(), self.written_version(role))?;
            let found = proposal.version(role).unwrap_or_default();
            if found != expected {
                return Err(SignError::Stale { role: role.as_str().to_owned(), expected, found });
            }
            proposal.verify(self, role)?;
        }
        for (role, file) in proposal.files()? {
            let version = proposal.version(role).unwrap_or_default();
            self.fresh.insert(file_name(role.as_str(), Some(version)), file.clone());
            match role {
                RoleName::Root => self.written.root = file,
                RoleName::Targets => self.written.targets = Some(file),
                _ => drop(self.written.delegated.insert(role.as_str().to_owned(), file)),
            }
        }
        if let Some(root) = proposal.root() {
            self.root = Role::loaded(root.clone());
        }
        for section in [Section::Targets, Section::Releases, Section::Pins] {
            if let Some(content) = proposal.section(section) {
                *self.role_of_mut(section) = Role::loaded(content.clone());
            }
        }
        Ok(())
    }

    /// Files that were accepted since the last [`Repository::complete`]: what is sent to a server that completes by itself.
    pub fn accepted(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.fresh
    }

    /// Signs a new snapshot and timestamp over what was accepted: file name → bytes of all that is new since the last time, to be
    /// made durable with `timestamp.json` last.
    ///
    /// # Errors
    /// [`SignError::NotEnoughKeys`], or [`SignError::Trust`] if clients would refuse the result. Nothing has changed then.
    pub fn complete(
        &mut self,
        keys: &OnlineKeys,
        now: UnixTime,
    ) -> Result<BTreeMap<String, Vec<u8>>, SignError> {
        let lifetimes = OnlineLifetimes {
            snapshot: self.lifetimes.snapshot.saturating_mul(SECONDS_PER_DAY),
            timestamp: self.lifetimes.timestamp.saturating_mul(SECONDS_PER_DAY),
        };
        let files = keys.complete(&self.written, Versions::default(), lifetimes, now)?;
        let mut out = std::mem::take(&mut self.fresh);
        if let Some(snapshot) = &files.snapshot {
            let version =
                crate::client::Client::offline(files.clone())?.snapshot().map(RoleMetadata::version);
            out.insert(file_name("snapshot", version), snapshot.clone());
        }
        if let Some(timestamp) = &files.timestamp {
            out.insert(file_name("timestamp", None), timestamp.clone());
        }
        self.written = files;
        Ok(out)
    }

    /// Signs what changed since the last write, and a new snapshot and timestamp, with keys at hand: propose, sign, accept and
    /// complete in one step.
    ///
    /// Needs the keys of the changed roles and of snapshot and timestamp. A changed root is signed by the keys of the old
    /// *and* of the new root.
    ///
    /// # Errors
    /// [`SignError::NotEnoughKeys`], or [`SignError::Trust`] if clients would refuse the result. Nothing has changed then.
    pub fn write(&mut self, keys: &RoleKeys, now: UnixTime) -> Result<BTreeMap<String, Vec<u8>>, SignError> {
        let mut proposal = self.propose(now)?;
        for role in proposal.roles() {
            for key in keys.of(role) {
                match proposal.sign(self, role, key) {
                    // A key that has no say is passed over: the sum is what counts.
                    Ok(_) | Err(SignError::NotAuthorised { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let mut next = self.clone();
        next.accept(&proposal)?;
        let out = next.complete(&keys.online(), now)?;
        *self = next;
        Ok(out)
    }

    fn written_version(&self, role: RoleName) -> u64 {
        match role {
            RoleName::Root => self.root.written.as_ref().map_or(0, |root| root.version),
            RoleName::Targets => version_of(&self.targets),
            RoleName::Releases => version_of(&self.releases),
            RoleName::Pins => version_of(&self.pins),
            RoleName::Snapshot | RoleName::Timestamp => 0,
        }
    }
}

fn version_of(role: &Role<crate::metadata::Targets>) -> u64 {
    role.written.as_ref().map_or(0, |content| content.version)
}

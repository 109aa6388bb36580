//! Changes to a repository; they take effect with the next write.

use std::collections::{BTreeMap, BTreeSet};

use super::{Repository, RoleName, Section, SignError};
use crate::json::Value;
use crate::key::{Key, KeyId, PublicKey};
use crate::metadata::{Delegation, Delegations, Extra, Hashes, Signers, Target};

impl Repository {
    /// Names a target, or changes what is said of it.
    ///
    /// # Errors
    /// [`SignError::PathNotCovered`] if clients would not accept the path from this section.
    pub fn set_target(
        &mut self,
        section: Section,
        path: &str,
        length: u64,
        sha256: &[u8; 32],
        custom: Option<Value>,
    ) -> Result<(), SignError> {
        if self.section_for(path) != Some(section) {
            let role = section.role().as_str().to_owned();
            return Err(SignError::PathNotCovered { role, path: path.to_owned() });
        }
        let target = Target { length, hashes: Hashes::sha256(sha256), custom, extra: Extra::new() };
        self.role_of_mut(section).content.targets.insert(path.to_owned(), target);
        Ok(())
    }

    /// Takes a target out; `false` if it was not there.
    pub fn remove_target(&mut self, section: Section, path: &str) -> bool {
        self.role_of_mut(section).content.targets.remove(path).is_some()
    }

    /// Gives the role a new version and expiry with the next write, even if nothing else changes.
    pub fn renew(&mut self, role: RoleName) {
        match role {
            RoleName::Root => self.root.renew = true,
            RoleName::Targets => self.targets.renew = true,
            RoleName::Releases => self.releases.renew = true,
            RoleName::Pins => self.pins.renew = true,
            // These two are new with every write.
            RoleName::Snapshot | RoleName::Timestamp => {}
        }
    }

    /// Replaces the keys of a role: any `threshold` of `keys`. The role above it gets a new version with the next write, and
    /// the role itself is signed anew by the new keys.
    ///
    /// # Errors
    /// [`SignError::BadThreshold`] for 0 or more than there are distinct keys.
    pub fn set_signers(
        &mut self,
        role: RoleName,
        keys: &[PublicKey],
        threshold: u32,
    ) -> Result<(), SignError> {
        let signers = Signers::new(keys, threshold);
        let distinct = signers.keyids.len();
        if threshold == 0 || usize::try_from(threshold).map_or(true, |threshold| threshold > distinct) {
            let role = role.as_str().to_owned();
            return Err(SignError::BadThreshold { role, threshold, keys: distinct });
        }
        self.renew(role);
        let delegation = |delegations: &mut Delegations, role: RoleName| {
            let named = |delegation: &&mut Delegation| delegation.name == role.as_str();
            if let Some(delegation) = delegations.roles.iter_mut().find(named) {
                delegation.signers = signers.clone();
            }
            let users = delegations.roles.iter().map(|delegation| &delegation.signers);
            replace_keys(&mut delegations.keys, keys, users);
        };
        let root = &mut self.root.content;
        match role {
            RoleName::Root => root.roles.root = signers,
            RoleName::Targets => root.roles.targets = signers,
            RoleName::Snapshot => root.roles.snapshot = signers,
            RoleName::Timestamp => root.roles.timestamp = signers,
            RoleName::Releases | RoleName::Pins => {
                if let Some(delegations) = &mut self.targets.content.delegations {
                    delegation(delegations, role);
                }
                return Ok(());
            }
        }
        let roles = &root.roles;
        let users = [&roles.root, &roles.targets, &roles.snapshot, &roles.timestamp];
        replace_keys(&mut root.keys, keys, users.into_iter());
        Ok(())
    }

    /// Which section's word counts for `path`: the first delegation that covers it, else the top-level role.
    fn section_for(&self, path: &str) -> Option<Section> {
        let delegations = self.targets.content.delegations.as_ref();
        let mut covering = delegations.into_iter().flat_map(|delegations| &delegations.roles);
        let Some(delegation) = covering.find(|delegation| delegation.covers(path)) else {
            return Some(Section::Targets);
        };
        [Section::Releases, Section::Pins]
            .into_iter()
            .find(|section| section.role().as_str() == delegation.name)
    }
}

/// Adds `keys` and drops those that no role uses any more.
fn replace_keys<'s>(
    table: &mut BTreeMap<KeyId, Key>,
    keys: &[PublicKey],
    users: impl Iterator<Item = &'s Signers>,
) {
    table.extend(keys.iter().map(|key| (key.id(), key.to_key())));
    let used: BTreeSet<&KeyId> = users.flat_map(|signers| &signers.keyids).collect();
    table.retain(|keyid, _| used.contains(keyid));
}

//! Looking up a target (spec 5.6.7): pre-order, in order of priority, each role visited once.

use std::collections::BTreeSet;

use super::update::same_version;
use super::{Client, Fetch, Pending, Step};
use crate::error::TrustError;
use crate::json::Value;
use crate::limits::{MAX_DELEGATIONS, TARGETS_MAX_LEN};
use crate::metadata::{Delegation, Delegations, Envelope, Hashes, MetaFile, Target, Targets, file_name};

const TOP: &str = "targets";

/// A target that a role names and may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetInfo {
    /// Its path, `images/ha@1.json`.
    pub path: String,
    /// Exact length in bytes.
    pub length: u64,
    /// Hashes of its bytes, at least one of a known kind.
    pub hashes: Hashes,
    /// What the repository says about it.
    pub custom: Option<Value>,
}

impl TargetInfo {
    /// The SHA-256 of its bytes.
    ///
    /// # Errors
    /// [`TrustError::UnknownHash`] for a target that is listed only with other hashes.
    pub fn sha256(&self) -> Result<[u8; 32], TrustError> {
        let unknown = || TrustError::UnknownHash { what: format!("target {}", self.path) };
        self.hashes.get_sha256().ok_or_else(unknown)
    }

    /// Whether `bytes` are this target: its length, and every hash of a known kind.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 == self.length && self.hashes.check(&self.path, bytes).is_ok()
    }
}

/// The answer to a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Find {
    /// Fetch this file, feed it, ask again.
    Fetch(Fetch),
    /// The target.
    Found(TargetInfo),
    /// No role that may name the path does.
    NotFound,
}

/// The outcome of a search in what is loaded.
enum Search<'c> {
    Found { role: &'c str, target: &'c Target },
    Needs { delegator: &'c str, role: &'c str },
    NotFound,
}

impl Client {
    /// Looks up a target path after a complete refresh.
    ///
    /// # Errors
    /// [`TrustError::NotRefreshed`], [`TrustError::TooManyDelegations`], a role that the snapshot does not list, and offline
    /// [`TrustError::Missing`] for a role that is not stored.
    pub fn find(&mut self, path: &str) -> Result<Find, TrustError> {
        self.pending = None;
        // Every turn loads one role more, and the search fails beyond MAX_DELEGATIONS of them.
        loop {
            let (delegator, role) = match self.search(path)? {
                Search::Found { target, .. } => return target_info(path, target).map(Find::Found),
                Search::NotFound => return Ok(Find::NotFound),
                Search::Needs { delegator, role } => (delegator.to_owned(), role.to_owned()),
            };
            if let Some(fetch) = self.load_or_ask(&delegator, &role)? {
                return Ok(Find::Fetch(fetch));
            }
        }
    }

    /// A target of the top-level role itself, without any delegation (the release-counter floor).
    pub fn top_level_target(&self, path: &str) -> Option<TargetInfo> {
        let target = self.complete_targets().ok()?.targets.get(path)?;
        target_info(path, target).ok()
    }

    /// Asks for every delegated role in turn, `None` when all are loaded: for a client that copies or checks a whole
    /// repository.
    ///
    /// # Errors
    /// As [`Client::find`].
    pub fn next_delegated(&mut self) -> Result<Option<Fetch>, TrustError> {
        self.pending = None;
        // Bounded as in `find`.
        loop {
            let delegations = self.all_delegations()?;
            let missing = delegations.into_iter().find(|pair| !self.delegated.contains_key(pair));
            let Some((delegator, role)) = missing else { return Ok(None) };
            if let Some(fetch) = self.load_or_ask(&delegator, &role)? {
                return Ok(Some(fetch));
            }
        }
    }

    /// The targets that the loaded role `role` (`targets`, `releases`) names, may name, and that a search would find there.
    ///
    /// # Errors
    /// As [`Client::find`]; a role that is not loaded has no targets.
    pub fn targets_of(&self, role: &str) -> Result<Vec<TargetInfo>, TrustError> {
        let top = self.complete_targets()?;
        let delegated =
            self.delegated.iter().filter(|((_, name), _)| name == role).map(|(_, targets)| targets);
        let listing = delegated.chain((role == TOP).then_some(top));
        let paths: BTreeSet<&String> = listing.flat_map(|targets| targets.targets.keys()).collect();
        let mut found = Vec::new();
        for path in paths {
            match self.search(path)? {
                Search::Found { role: by, target } if by == role => found.push(target_info(path, target)?),
                _ => {}
            }
        }
        Ok(found)
    }

    /// The verified content of a role (`targets`, or a delegated role that is loaded). What it lists is bounded by its
    /// delegation only through [`Client::find`] and [`Client::targets_of`].
    pub fn role(&self, role: &str) -> Option<&Targets> {
        let top = self.complete_targets().ok()?;
        if role == TOP {
            return Some(top);
        }
        self.delegated.iter().find(|((_, name), _)| name == role).map(|(_, targets)| targets)
    }

    /// Offline: loads what is stored, and refuses what is stored but does not verify.
    pub(super) fn load_stored_delegations(&mut self) -> Result<(), TrustError> {
        // Bounded as in `find`.
        loop {
            let stored = |pair: &(String, String)| self.files.delegated.contains_key(&pair.1);
            let next = |pair: &(String, String)| stored(pair) && !self.delegated.contains_key(pair);
            let Some((delegator, role)) = self.all_delegations()?.into_iter().find(next) else {
                return Ok(());
            };
            self.load_or_ask(&delegator, &role)?;
        }
    }

    /// Checks the delegated role that was asked for.
    pub(super) fn accept_pending(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        let Some(Pending { delegator, role, .. }) = self.pending.clone() else {
            return Err(TrustError::NotRefreshed);
        };
        let targets = self.check_delegated(&delegator, &role, bytes)?;
        self.files.delegated.insert(role.clone(), bytes.to_vec());
        self.delegated.insert((delegator, role), targets);
        self.pending = None;
        Ok(())
    }

    fn complete_targets(&self) -> Result<&Targets, TrustError> {
        let complete = self.targets.as_ref().filter(|_| self.step == Step::Done);
        complete.ok_or(TrustError::NotRefreshed)
    }

    fn search<'c>(&'c self, path: &str) -> Result<Search<'c>, TrustError> {
        let top = self.complete_targets()?;
        let mut visited = BTreeSet::new();
        let mut to_visit: Vec<(&str, &str)> = vec![(TOP, TOP)];
        while let Some((delegator, role)) = to_visit.pop() {
            if !visited.insert(role) {
                continue;
            }
            if visited.len() > MAX_DELEGATIONS + 1 {
                return Err(TrustError::TooManyDelegations { limit: MAX_DELEGATIONS });
            }
            let targets = match self.content(top, delegator, role) {
                Some(targets) => targets,
                None => return Ok(Search::Needs { delegator, role }),
            };
            if let Some(target) = targets.targets.get(path) {
                return Ok(Search::Found { role, target });
            }
            let covering: Vec<&Delegation> =
                delegations(targets).iter().filter(|delegation| delegation.covers(path)).collect();
            let end = covering.iter().position(|delegation| delegation.terminating);
            if end.is_some() {
                // No way back from a terminating delegation: not to later siblings, and not to those of its ancestors.
                to_visit.clear();
            }
            let reachable = &covering[..end.map_or(covering.len(), |end| end + 1)];
            to_visit.extend(reachable.iter().rev().map(|delegation| (role, delegation.name.as_str())));
        }
        Ok(Search::NotFound)
    }

    fn content<'c>(&'c self, top: &'c Targets, delegator: &str, role: &str) -> Option<&'c Targets> {
        if role == TOP {
            return Some(top);
        }
        self.delegated.get(&(delegator.to_owned(), role.to_owned()))
    }

    /// All (delegator, role) pairs that are reachable through what is loaded, without regard to paths.
    fn all_delegations(&self) -> Result<Vec<(String, String)>, TrustError> {
        let top = self.complete_targets()?;
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut to_visit = vec![(TOP.to_owned(), TOP.to_owned())];
        while let Some((delegator, role)) = to_visit.pop() {
            let Some(targets) = self.content(top, &delegator, &role) else { continue };
            for delegation in delegations(targets) {
                let pair = (role.clone(), delegation.name.clone());
                if pairs.contains(&pair) {
                    continue;
                }
                if pairs.len() == MAX_DELEGATIONS {
                    return Err(TrustError::TooManyDelegations { limit: MAX_DELEGATIONS });
                }
                pairs.push(pair.clone());
                to_visit.push(pair);
            }
        }
        Ok(pairs)
    }

    /// Loads the stored copy if it still fits, else says what to fetch.
    fn load_or_ask(&mut self, delegator: &str, role: &str) -> Result<Option<Fetch>, TrustError> {
        let listed = self.listed(role)?;
        let name = file_name(role, self.root.consistent_snapshot.then_some(listed.version));
        let max_len = listed.max_len(role, TARGETS_MAX_LEN)?;
        let stored = self.files.delegated.get(role).map(|bytes| self.check_delegated(delegator, role, bytes));
        let key = (delegator.to_owned(), role.to_owned());
        match (stored, self.now) {
            (Some(Ok(targets)), _) => {
                self.delegated.insert(key, targets);
                Ok(None)
            }
            (Some(Err(refused)), None) => Err(refused),
            (None, None) => Err(TrustError::Missing { file: name }),
            (_, Some(_)) => {
                let (delegator, role) = key;
                self.pending = Some(Pending { name: name.clone(), delegator, role });
                Ok(Some(Fetch { name, max_len }))
            }
        }
    }

    fn listed(&self, role: &str) -> Result<&MetaFile, TrustError> {
        let snapshot = self.snapshot.as_ref().ok_or(TrustError::NotRefreshed)?;
        snapshot.meta.role(role).ok_or_else(|| TrustError::NotInSnapshot { role: role.to_owned() })
    }

    /// Spec 5.6.2 to 5.6.5, by the keys of this delegator.
    fn check_delegated(&self, delegator: &str, role: &str, bytes: &[u8]) -> Result<Targets, TrustError> {
        let listed = self.listed(role)?;
        listed.check_bytes(role, bytes, TARGETS_MAX_LEN)?;
        let (delegations, delegation) = self
            .delegation(delegator, role)
            .ok_or_else(|| TrustError::NotInSnapshot { role: role.to_owned() })?;
        let envelope = Envelope::parse(role, bytes, TARGETS_MAX_LEN)?;
        envelope.verify(&delegations.keys, &delegation.signers)?;
        let targets: Targets = envelope.read()?;
        same_version(role, "snapshot", listed, targets.version)?;
        self.check_expiry(role, &targets)?;
        Ok(targets)
    }

    fn delegation(&self, delegator: &str, role: &str) -> Option<(&Delegations, &Delegation)> {
        let delegations = self.role(delegator)?.delegations.as_ref()?;
        let delegation = delegations.roles.iter().find(|delegation| delegation.name == role)?;
        Some((delegations, delegation))
    }
}

fn delegations(targets: &Targets) -> &[Delegation] {
    targets.delegations.as_ref().map_or(&[], |delegations| &delegations.roles)
}

fn target_info(path: &str, target: &Target) -> Result<TargetInfo, TrustError> {
    if !target.hashes.is_known() {
        return Err(TrustError::UnknownHash { what: format!("target {path}") });
    }
    let (path, hashes, custom) = (path.to_owned(), target.hashes.clone(), target.custom.clone());
    Ok(TargetInfo { path, length: target.length, hashes, custom })
}

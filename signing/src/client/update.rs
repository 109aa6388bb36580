//! The top-level roles: each `accept_…` checks everything first and changes the state only then.

use super::{Client, Step};
use crate::error::TrustError;
use crate::limits::{ROOT_MAX_LEN, SNAPSHOT_MAX_LEN, TARGETS_MAX_LEN, TIMESTAMP_MAX_LEN};
use crate::metadata::{Envelope, MetaFile, RoleMetadata, Root, Signers, Snapshot, Targets, Timestamp};

impl Client {
    /// Spec 5.3.4 to 5.3.8: signed by the threshold of the trusted root *and* of itself, exactly one version higher.
    pub(super) fn accept_root(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        let envelope = Envelope::parse("root", bytes, ROOT_MAX_LEN)?;
        envelope.verify(&self.root.keys, &self.root.roles.root)?;
        let newer: Root = envelope.read()?;
        envelope.verify(&newer.keys, &newer.roles.root)?;
        let (expected, found) = (self.root.version.saturating_add(1), newer.version);
        if found != expected {
            return Err(TrustError::RootVersion { expected, found });
        }
        // Fast-forward recovery (5.3.11), done at once so that no crash can separate it from the new root.
        let (old, new) = (&self.root.roles, &newer.roles);
        if old.timestamp.revoked_by(&new.timestamp) || old.snapshot.revoked_by(&new.snapshot) {
            self.forget_versions();
        }
        self.files.root = bytes.to_vec();
        self.root = newer;
        self.rotations += 1;
        Ok(())
    }

    /// Spec 5.3.10: the newest root must not be expired; then the stored files are looked at with its keys.
    pub(super) fn finish_roots(&mut self) -> Result<(), TrustError> {
        self.check_expiry("root", &self.root)?;
        self.load_stored();
        self.step = Step::Timestamp;
        Ok(())
    }

    /// A stored pair of which one no longer verifies was signed by keys that have been revoked since: its versions may be
    /// fast-forwarded, so neither may block the recovery.
    fn load_stored(&mut self) {
        let roles = &self.root.roles;
        let timestamp = self.files.timestamp.as_deref();
        let timestamp = timestamp
            .map(|bytes| self.verified::<Timestamp>("timestamp", bytes, TIMESTAMP_MAX_LEN, &roles.timestamp));
        let snapshot = self.files.snapshot.as_deref();
        let snapshot = snapshot
            .map(|bytes| self.verified::<Snapshot>("snapshot", bytes, SNAPSHOT_MAX_LEN, &roles.snapshot));
        match (timestamp.transpose(), snapshot.transpose()) {
            (Ok(timestamp), Ok(snapshot)) => {
                self.timestamp = timestamp;
                self.snapshot = snapshot;
            }
            _ => self.forget_versions(),
        }
    }

    fn forget_versions(&mut self) {
        self.files.timestamp = None;
        self.files.snapshot = None;
        self.timestamp = None;
        self.snapshot = None;
    }

    /// Spec 5.4. Equal versions keep what is trusted, whose expiry still counts: else a replay would never expire.
    pub(super) fn accept_timestamp(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        let newer: Timestamp =
            self.verified("timestamp", bytes, TIMESTAMP_MAX_LEN, &self.root.roles.timestamp)?;
        if let Some(trusted) = &self.timestamp {
            not_lower("timestamp", trusted.version, newer.version)?;
            if newer.version == trusted.version {
                self.check_expiry("timestamp", trusted)?;
                self.timestamp_done();
                return Ok(());
            }
            not_lower("snapshot", trusted.meta.snapshot.version, newer.meta.snapshot.version)?;
        }
        self.check_expiry("timestamp", &newer)?;
        self.files.timestamp = Some(bytes.to_vec());
        self.timestamp = Some(newer);
        self.timestamp_done();
        Ok(())
    }

    fn timestamp_done(&mut self) {
        self.step = Step::Snapshot;
        let stored = self.files.snapshot.clone();
        if let Some((snapshot, bytes)) =
            stored.and_then(|bytes| Some((self.check_snapshot(&bytes).ok()?, bytes)))
        {
            self.trust_snapshot(snapshot, bytes);
        }
    }

    /// Spec 5.5.2 to 5.5.6, the hash before the signatures.
    fn check_snapshot(&self, bytes: &[u8]) -> Result<Snapshot, TrustError> {
        let timestamp = self.timestamp.as_ref().ok_or(TrustError::NotRefreshed)?;
        let listed = &timestamp.meta.snapshot;
        listed.check_bytes("snapshot", bytes, SNAPSHOT_MAX_LEN)?;
        let newer: Snapshot =
            self.verified("snapshot", bytes, SNAPSHOT_MAX_LEN, &self.root.roles.snapshot)?;
        same_version("snapshot", "timestamp", listed, newer.version)?;
        if let Some(trusted) = &self.snapshot {
            not_lower("snapshot", trusted.version, newer.version)?;
            not_lower("targets", trusted.meta.targets.version, newer.meta.targets.version)?;
            for (file, old) in &trusted.meta.delegated {
                let new = newer.meta.delegated.get(file);
                let new = new.ok_or_else(|| TrustError::Dropped { file: file.clone() })?;
                not_lower(file.strip_suffix(".json").unwrap_or(file), old.version, new.version)?;
            }
        }
        self.check_expiry("snapshot", &newer)?;
        Ok(newer)
    }

    pub(super) fn accept_snapshot(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        let snapshot = self.check_snapshot(bytes)?;
        self.trust_snapshot(snapshot, bytes.to_vec());
        Ok(())
    }

    fn trust_snapshot(&mut self, snapshot: Snapshot, bytes: Vec<u8>) {
        self.snapshot = Some(snapshot);
        self.files.snapshot = Some(bytes);
        self.step = Step::Targets;
        let stored = self.files.targets.clone();
        if let Some((targets, bytes)) =
            stored.and_then(|bytes| Some((self.check_targets(&bytes).ok()?, bytes)))
        {
            self.trust_targets(targets, bytes);
        }
    }

    /// Spec 5.6.2 to 5.6.5.
    fn check_targets(&self, bytes: &[u8]) -> Result<Targets, TrustError> {
        let snapshot = self.snapshot.as_ref().ok_or(TrustError::NotRefreshed)?;
        let listed = &snapshot.meta.targets;
        listed.check_bytes("targets", bytes, TARGETS_MAX_LEN)?;
        let newer: Targets = self.verified("targets", bytes, TARGETS_MAX_LEN, &self.root.roles.targets)?;
        same_version("targets", "snapshot", listed, newer.version)?;
        self.check_expiry("targets", &newer)?;
        Ok(newer)
    }

    pub(super) fn accept_targets(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        let targets = self.check_targets(bytes)?;
        self.trust_targets(targets, bytes.to_vec());
        Ok(())
    }

    fn trust_targets(&mut self, targets: Targets, bytes: Vec<u8>) {
        self.targets = Some(targets);
        self.files.targets = Some(bytes);
        self.step = Step::Done;
    }

    /// Parses, checks the signatures by keys of the root, and reads.
    fn verified<T: RoleMetadata>(
        &self,
        role: &str,
        bytes: &[u8],
        limit: u64,
        signers: &Signers,
    ) -> Result<T, TrustError> {
        let envelope = Envelope::parse(role, bytes, limit)?;
        envelope.verify(&self.root.keys, signers)?;
        envelope.read()
    }

    /// Expiry must lie strictly after the fixed start of the refresh.
    pub(super) fn check_expiry<T: RoleMetadata>(&self, role: &str, content: &T) -> Result<(), TrustError> {
        let expired = content.expires();
        match self.now {
            Some(now) if expired <= now => Err(TrustError::Expired { role: role.to_owned(), expired, now }),
            _ => Ok(()),
        }
    }

    /// Offline: the stored top-level files in the order of the workflow, every refusal reported.
    pub(super) fn accept_stored(&mut self) -> Result<(), TrustError> {
        let missing = |file: &str| TrustError::Missing { file: file.to_owned() };
        let timestamp = self.files.timestamp.clone().ok_or_else(|| missing("timestamp.json"))?;
        let snapshot = self.files.snapshot.clone().ok_or_else(|| missing("snapshot.json"))?;
        let targets = self.files.targets.clone().ok_or_else(|| missing("targets.json"))?;
        self.timestamp =
            Some(self.verified("timestamp", &timestamp, TIMESTAMP_MAX_LEN, &self.root.roles.timestamp)?);
        self.snapshot = Some(self.check_snapshot(&snapshot)?);
        self.targets = Some(self.check_targets(&targets)?);
        self.step = Step::Done;
        Ok(())
    }
}

fn not_lower(role: &str, trusted: u64, found: u64) -> Result<(), TrustError> {
    if found < trusted { Err(TrustError::Rollback { role: role.to_owned(), trusted, found }) } else { Ok(()) }
}

pub(super) fn same_version(
    role: &str,
    listed_in: &'static str,
    listed: &MetaFile,
    found: u64,
) -> Result<(), TrustError> {
    let expected = listed.version;
    if found == expected {
        return Ok(());
    }
    Err(TrustError::MixAndMatch { role: role.to_owned(), listed_in, expected, found })
}

//! The two roles that a server signs by itself (feature `online-keys`): which metadata belongs together, and that it is fresh.
//!
//! ```text
//! root, targets, releases, pins (signed elsewhere) ─→ OnlineKeys::complete ─→ + snapshot, timestamp
//!                                    every hour    ─→ OnlineKeys::renew_timestamp
//! ```
//!
//! [`OnlineKeys`] signs a snapshot or a timestamp and has no way to sign anything else: the bytes are made here from typed
//! content. Every result is verified by the code that the clients run before it is handed out.

mod keys;

pub use self::keys::{OnlineKeys, OnlineRole};
use crate::client::{Client, TrustedFiles};
use crate::error::TrustError;
use crate::json::to_value;
use crate::limits::{SNAPSHOT_MAX_LEN, TARGETS_MAX_LEN, TIMESTAMP_MAX_LEN};
use crate::metadata::{
    Envelope, Extra, MetaFile, RoleMetadata, Root, SPEC_VERSION, Signers, Snapshot, SnapshotMeta, Targets,
    Timestamp, TimestampMeta,
};
use crate::secret::SecretKey;
use crate::sign::{SignError, authorised, following, render, signature_by};
use crate::time::UnixTime;

/// How long what is signed online is valid, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnlineLifetimes {
    /// Snapshot.
    pub snapshot: i64,
    /// Timestamp.
    pub timestamp: i64,
}

/// Versions that the new files must exceed, besides those of the files they replace; 0 for no demand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Versions {
    /// Snapshot.
    pub snapshot: u64,
    /// Timestamp.
    pub timestamp: u64,
}

impl OnlineKeys {
    /// A new snapshot that lists `files.targets` and `files.delegated`, and a new timestamp for it. The versions go on from
    /// those in `files`, if it has any, and from `above`. A role that the present snapshot lists stays listed: clients refuse
    /// that one vanishes.
    ///
    /// # Errors
    /// [`SignError::NotEnoughKeys`] if the root lists other keys, [`SignError::Trust`] if clients would refuse the result.
    pub fn complete(
        &self,
        files: &TrustedFiles,
        above: Versions,
        lifetimes: OnlineLifetimes,
        now: UnixTime,
    ) -> Result<TrustedFiles, SignError> {
        let root: Root = read("root", &files.root, crate::limits::ROOT_MAX_LEN)?;
        let mut next = files.clone();
        let (version, file) = self.snapshot(files, &root, above, lifetimes, now)?;
        let listed = MetaFile::of(version, &file);
        next.snapshot = Some(file);
        let old: Option<Timestamp> = read_if("timestamp", files.timestamp.as_deref(), TIMESTAMP_MAX_LEN)?;
        let trusted = old.as_ref().map_or(0, |old| old.version).max(above.timestamp);
        let extra = old.map(|old| (old.extra, old.meta.extra));
        let timestamp = timestamp(following("timestamp", trusted)?, listed, extra, lifetimes, now);
        next.timestamp = Some(sign("timestamp", &timestamp, &self.timestamp, &root.roles.timestamp)?);
        Client::offline(next.clone())?;
        Ok(next)
    }

    /// A new timestamp for the same snapshot.
    ///
    /// # Errors
    /// As [`OnlineKeys::complete`]; [`TrustError::Missing`] if there is no timestamp yet.
    pub fn renew_timestamp(
        &self,
        files: &TrustedFiles,
        lifetimes: OnlineLifetimes,
        now: UnixTime,
    ) -> Result<TrustedFiles, SignError> {
        let root: Root = read("root", &files.root, crate::limits::ROOT_MAX_LEN)?;
        let old: Option<Timestamp> = read_if("timestamp", files.timestamp.as_deref(), TIMESTAMP_MAX_LEN)?;
        let old = old.ok_or_else(|| TrustError::Missing { file: "timestamp.json".to_owned() })?;
        let version = following("timestamp", old.version)?;
        let extra = Some((old.extra, old.meta.extra));
        let timestamp = timestamp(version, old.meta.snapshot, extra, lifetimes, now);
        let file = sign("timestamp", &timestamp, &self.timestamp, &root.roles.timestamp)?;
        let next = TrustedFiles { timestamp: Some(file), ..files.clone() };
        Client::offline(next.clone())?;
        Ok(next)
    }

    /// Whether these keys suffice for both roles under `root`.
    ///
    /// # Errors
    /// [`SignError::NotEnoughKeys`] with the role that they do not suffice for.
    pub fn check(&self, root: &Root) -> Result<(), SignError> {
        authorised("snapshot", &self.snapshot, &root.roles.snapshot)?;
        authorised("timestamp", &self.timestamp, &root.roles.timestamp).map(drop)
    }

    fn snapshot(
        &self,
        files: &TrustedFiles,
        root: &Root,
        above: Versions,
        lifetimes: OnlineLifetimes,
        now: UnixTime,
    ) -> Result<(u64, Vec<u8>), SignError> {
        let missing = || TrustError::Missing { file: "targets.json".to_owned() };
        let targets = files.targets.as_deref().ok_or_else(missing)?;
        let listed = |role: &str, bytes: &[u8]| -> Result<MetaFile, TrustError> {
            let content: Targets = read(role, bytes, TARGETS_MAX_LEN)?;
            Ok(MetaFile::of(content.version, bytes))
        };
        let old: Option<Snapshot> = read_if("snapshot", files.snapshot.as_deref(), SNAPSHOT_MAX_LEN)?;
        let version = old.as_ref().map_or(0, |old| old.version).max(above.snapshot);
        let version = following("snapshot", version)?;
        let (extra, mut delegated) = old.map(|old| (old.extra, old.meta.delegated)).unwrap_or_default();
        for (role, bytes) in &files.delegated {
            delegated.insert(format!("{role}.json"), listed(role, bytes)?);
        }
        let snapshot = Snapshot {
            kind: Snapshot::TYPE.to_owned(),
            spec_version: SPEC_VERSION.to_owned(),
            version,
            expires: now.plus_seconds(lifetimes.snapshot),
            meta: SnapshotMeta { targets: listed("targets", targets)?, delegated },
            extra,
        };
        Ok((version, sign("snapshot", &snapshot, &self.snapshot, &root.roles.snapshot)?))
    }
}

fn timestamp(
    version: u64,
    snapshot: MetaFile,
    extra: Option<(Extra, Extra)>,
    lifetimes: OnlineLifetimes,
    now: UnixTime,
) -> Timestamp {
    let (extra, meta_extra) = extra.unwrap_or_default();
    Timestamp {
        kind: Timestamp::TYPE.to_owned(),
        spec_version: SPEC_VERSION.to_owned(),
        version,
        expires: now.plus_seconds(lifetimes.timestamp),
        meta: TimestampMeta { snapshot, extra: meta_extra },
        extra,
    }
}

fn sign<T: RoleMetadata>(
    role: &str,
    content: &T,
    keys: &[SecretKey],
    signers: &Signers,
) -> Result<Vec<u8>, SignError> {
    let signed = to_value(content).map_err(SignError::json(role))?;
    let message = signed.canonical();
    let signatures: Vec<_> =
        authorised(role, keys, signers)?.into_iter().map(|key| signature_by(key, &message)).collect();
    render(&signed, &signatures).map_err(SignError::json(role))
}

/// Reads without a look at the signatures: the result as a whole is verified before it is handed out.
fn read<T: RoleMetadata>(role: &str, bytes: &[u8], limit: u64) -> Result<T, TrustError> {
    Envelope::parse(role, bytes, limit)?.read()
}

fn read_if<T: RoleMetadata>(role: &str, bytes: Option<&[u8]>, limit: u64) -> Result<Option<T>, TrustError> {
    bytes.map(|bytes| read(role, bytes, limit)).transpose()
}

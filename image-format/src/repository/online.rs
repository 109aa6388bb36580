//! Snapshot and timestamp that are signed where the store is.

use std::collections::BTreeMap;
use std::error::Error;

use signing::client::Client;
use signing::limits::{SNAPSHOT_MAX_LEN, TIMESTAMP_MAX_LEN};
use signing::metadata::{Envelope, RoleMetadata, Root, Signers, Snapshot, Timestamp, file_name};
use signing::{TrustError, TrustedFiles, UnixTime};

use super::commit::{check_base, check_names};
use super::names::{MetadataFile, TIMESTAMP};
use super::{CommitError, Committed, ContentError, Repository, Upload, load};

/// Roles that are signed elsewhere. Any other name is not listed: what a snapshot lists once it must list for ever.
const OFFLINE: [&str; 4] = ["root", "targets", "releases", "pins"];

/// Signs snapshot and timestamp. What it returns is verified before it is published.
pub trait OnlineSigner {
    /// `files` with a new snapshot of its targets and delegated roles, and a new timestamp. Versions go on from those in `files`,
    /// and from `above`.
    ///
    /// # Errors
    /// [`OnlineFault`].
    fn complete(
        &self,
        files: &TrustedFiles,
        above: Above,
        now: UnixTime,
    ) -> Result<TrustedFiles, OnlineFault>;

    /// `files` with a new timestamp for the same snapshot.
    ///
    /// # Errors
    /// [`OnlineFault`].
    fn renew_timestamp(&self, files: &TrustedFiles, now: UnixTime) -> Result<TrustedFiles, OnlineFault>;
}

/// Versions that new files must exceed, besides those of the files that they replace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Above {
    /// Snapshot.
    pub snapshot: u64,
    /// Timestamp.
    pub timestamp: u64,
}

/// What is signed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// The timestamp, for the same snapshot.
    Timestamp,
    /// Both.
    Snapshot,
}

/// Why nothing was signed online.
#[derive(Debug, thiserror::Error)]
pub enum OnlineFault {
    /// The root lists other keys for snapshot or timestamp.
    #[error("{0}")]
    NotListed(String),
    /// Anything else.
    #[error(transparent)]
    Failed(Box<dyn Error + Send + Sync>),
}

impl OnlineFault {
    /// Whether the root, and not the signer, is the reason.
    pub fn is_not_listed(&self) -> bool {
        matches!(self, Self::NotListed(_))
    }
}

impl Repository<'_> {
    /// Publishes as [`Repository::commit`] does, with a snapshot and a timestamp by `online`. Those in `upload` are only taken as
    /// lower bounds of the versions, if the right keys have signed them; when the root does not list the keys of `online` they
    /// count as in `commit`.
    ///
    /// # Errors
    /// [`CommitError`]; then nothing has changed.
    pub fn commit_online(
        &self,
        upload: Upload,
        online: &dyn OnlineSigner,
        now: UnixTime,
    ) -> Result<Committed, CommitError> {
        check_names(&upload)?;
        let turn = self.take_turn()?;
        let old = self.present(&upload)?;
        // Before anything is signed: whose change is refused for this must not see another reason first.
        check_base(old.as_ref(), &upload)?;
        let completed = Incomplete { old: old.as_ref(), upload: &upload }.complete(online, now);
        let upload = match completed {
            Ok(completed) => Upload { metadata: completed, ..upload },
            Err(CommitError::Online(fault))
                if fault.is_not_listed() && upload.metadata.contains_key(TIMESTAMP) =>
            {
                upload
            }
            Err(error) => return Err(error),
        };
        self.commit_on(&turn, old, upload, now)
    }

    /// Signs anew what is published. Returns whether there was anything.
    ///
    /// # Errors
    /// [`CommitError`]; then what was published before still is.
    pub fn resign(
        &self,
        renewal: Renewal,
        online: &dyn OnlineSigner,
        now: UnixTime,
    ) -> Result<bool, CommitError> {
        let turn = self.take_turn()?;
        let Some(old) = load::load(self).map_err(CommitError::Present)? else { return Ok(false) };
        let files = match renewal {
            Renewal::Timestamp => online.renew_timestamp(old.trusted(), now)?,
            Renewal::Snapshot => online.complete(old.trusted(), Above::default(), now)?,
        };
        let upload = Upload { metadata: moving(&files)?, ..Upload::default() };
        self.commit_on(&turn, Some(old), upload, now).map(|committed| committed.changed)
    }
}

/// A commit without snapshot and timestamp, and what it follows.
struct Incomplete<'a> {
    old: Option<&'a Client>,
    upload: &'a Upload,
}

impl Incomplete<'_> {
    /// The metadata to commit: what was sent, with the snapshot and the timestamp that belong to it.
    fn complete(
        &self,
        online: &dyn OnlineSigner,
        now: UnixTime,
    ) -> Result<BTreeMap<String, Vec<u8>>, CommitError> {
        let next = self.next()?;
        let above = self.above(&next)?;
        let files = match self.old {
            Some(old) if *old.trusted() == next && above == Above::default() => next,
            _ => online.complete(&next, above, now)?,
        };
        let is_moving = |name: &str| {
            name.parse::<MetadataFile>().is_ok_and(|file| file.role == "snapshot" || file.role == "timestamp")
        };
        let mut metadata = self.upload.metadata.clone();
        metadata.retain(|name, _| !is_moving(name));
        metadata.extend(moving(&files)?);
        Ok(metadata)
    }

    /// The present files with those that were sent in their place; snapshot and timestamp are the present ones.
    fn next(&self) -> Result<TrustedFiles, CommitError> {
        let mut next = self.old.map(|old| old.trusted().clone()).unwrap_or_default();
        let present: BTreeMap<_, _> = self
            .old
            .map(load::current_roles)
            .unwrap_or_default()
            .into_iter()
            .map(|file| (file.role, (file.version, file.bytes)))
            .collect();
        for (role, (version, bytes)) in self.newest() {
            match present.get(&role) {
                Some((trusted, _)) if version < *trusted => {
                    let (trusted, found) = (*trusted, version);
                    return Err(ContentError::Trust(TrustError::Rollback { role, trusted, found }).into());
                }
                Some((trusted, used)) if version == *trusted && used != bytes => {
                    return Err(CommitError::Conflict { file: file_name(&role, Some(version)) });
                }
                _ => {}
            }
            let bytes = bytes.clone();
            match role.as_str() {
                "root" => next.root = bytes,
                "targets" => next.targets = Some(bytes),
                _ => drop(next.delegated.insert(role, bytes)),
            }
        }
        if next.root.is_empty() { Err(CommitError::NoRoot) } else { Ok(next) }
    }

    /// The newest version that was sent of every role that is signed elsewhere.
    fn newest(&self) -> BTreeMap<String, (u64, &Vec<u8>)> {
        let mut newest: BTreeMap<String, (u64, &Vec<u8>)> = BTreeMap::new();
        for (name, bytes) in &self.upload.metadata {
            let Ok(MetadataFile { version: Some(version), role }) = name.parse() else { continue };
            if OFFLINE.contains(&role.as_str()) && newest.get(&role).is_none_or(|(known, _)| *known < version)
            {
                newest.insert(role, (version, bytes));
            }
        }
        newest
    }

    /// Versions of a snapshot and a timestamp that were sent and are beyond the present ones. Only signed ones count: a version
    /// that anybody could name would use up the numbers.
    fn above(&self, next: &TrustedFiles) -> Result<Above, CommitError> {
        let root: Root = Envelope::parse("root", &next.root, u64::MAX)
            .and_then(|envelope| envelope.read())
            .map_err(ContentError::Trust)?;
        let roots: Vec<&Root> = self.old.map(Client::root).into_iter().chain([&root]).collect();
        let mut above = Above::default();
        for (name, bytes) in &self.upload.metadata {
            let Ok(file) = name.parse::<MetadataFile>() else { continue };
            match file.role.as_str() {
                "snapshot" => {
                    let version = signed_version::<Snapshot>(bytes, SNAPSHOT_MAX_LEN, &roots, |root| {
                        &root.roles.snapshot
                    });
                    above.snapshot = above.snapshot.max(version);
                }
                "timestamp" => {
                    let version = signed_version::<Timestamp>(bytes, TIMESTAMP_MAX_LEN, &roots, |root| {
                        &root.roles.timestamp
                    });
                    above.timestamp = above.timestamp.max(version);
                }
                _ => {}
            }
        }
        let Some(old) = self.old else { return Ok(above) };
        let beyond = |version: u64, present: Option<u64>| if Some(version) > present { version } else { 0 };
        Ok(Above {
            snapshot: beyond(above.snapshot, old.snapshot().map(|snapshot| snapshot.version)),
            timestamp: beyond(above.timestamp, old.timestamp().map(|timestamp| timestamp.version)),
        })
    }
}

/// The version of a file that one of `roots` trusts, else 0.
fn signed_version<T: RoleMetadata>(
    bytes: &[u8],
    limit: u64,
    roots: &[&Root],
    signers: impl Fn(&Root) -> &Signers,
) -> u64 {
    let version = || -> Result<u64, TrustError> {
        let envelope = Envelope::parse(T::TYPE, bytes, limit)?;
        let mut verified = Err(TrustError::NotRefreshed);
        for root in roots {
            verified = verified.or_else(|_| envelope.verify(&root.keys, signers(root)));
        }
        verified?;
        Ok(envelope.read::<T>()?.version())
    };
    version().unwrap_or(0)
}

/// Snapshot and timestamp by file name.
fn moving(files: &TrustedFiles) -> Result<BTreeMap<String, Vec<u8>>, CommitError> {
    let (Some(snapshot), Some(timestamp)) = (&files.snapshot, &files.timestamp) else {
        return Err(CommitError::NoTimestamp);
    };
    let envelope = Envelope::parse("snapshot", snapshot, SNAPSHOT_MAX_LEN);
    let content: Snapshot = envelope.and_then(|envelope| envelope.read()).map_err(ContentError::Trust)?;
    let name = file_name("snapshot", Some(content.version));
    Ok([(name, snapshot.clone()), (TIMESTAMP.to_owned(), timestamp.clone())].into())
}

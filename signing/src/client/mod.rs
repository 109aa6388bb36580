//! The client workflow of the specification (section 5), without I/O.
//!
//! ```text
//! new ─→ Root ──404──→ Timestamp ──→ Snapshot ──→ Targets ──→ Done ─→ find / next_delegated
//!        ↺ N+1            equal version: keep      stored copy that still fits: no fetch
//! ```
//!
//! [`Client::next`] names the file to fetch, [`Client::feed`] checks it and moves on. A refused file changes nothing: the same
//! file may be fed again from elsewhere, and [`Client::trusted`] holds exactly what was verified so far, to be persisted by
//! the caller even after an error. Stored copies that no longer verify are treated as absent and fetched anew.

mod drive;
mod evidence;
mod files;
mod offline;
mod search;
mod update;

use std::collections::BTreeMap;

pub use self::drive::{RefreshError, find_target, load_all, refresh};
pub use self::evidence::signed_target;
pub use self::files::TrustedFiles;
pub use self::search::{Find, TargetInfo};
use crate::error::TrustError;
use crate::limits::{MAX_ROOT_ROTATIONS, ROOT_MAX_LEN, SNAPSHOT_MAX_LEN, TARGETS_MAX_LEN, TIMESTAMP_MAX_LEN};
use crate::metadata::{Envelope, Root, Snapshot, Targets, Timestamp, file_name};
use crate::time::UnixTime;

/// A file to fetch. `name` is one URL segment and a safe file name; a body longer than `max_len` bytes must not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// `3.root.json`, `timestamp.json`, `7.releases.json`: percent-encoded where needed.
    pub name: String,
    /// Most bytes to accept.
    pub max_len: u64,
}

/// One refresh of the trusted metadata, and the search in it.
#[derive(Debug, Clone)]
pub struct Client {
    /// Fixed for the whole refresh (spec 5.1); `None` offline, where expiry does not count.
    now: Option<UnixTime>,
    files: TrustedFiles,
    root: Root,
    rotations: u32,
    /// Trusted, but possibly of an earlier refresh until the step is past it. The same holds for `snapshot`.
    timestamp: Option<Timestamp>,
    snapshot: Option<Snapshot>,
    targets: Option<Targets>,
    /// Delegated roles by (delegator, role): each delegator's word is checked on its own.
    delegated: BTreeMap<(String, String), Targets>,
    pending: Option<Pending>,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Root,
    Timestamp,
    Snapshot,
    Targets,
    Done,
}

/// A delegated role that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pending {
    name: String,
    delegator: String,
    role: String,
}

impl Client {
    /// Starts a refresh from stored files, of which only the root is needed and checked now (spec 5.2).
    ///
    /// # Errors
    /// The root is unreadable or does not verify against itself: nothing can be trusted.
    pub fn new(trusted: TrustedFiles, now: UnixTime) -> Result<Client, TrustError> {
        Self::start(trusted, Some(now))
    }

    fn start(files: TrustedFiles, now: Option<UnixTime>) -> Result<Client, TrustError> {
        let envelope = Envelope::parse("root", &files.root, ROOT_MAX_LEN)?;
        let root: Root = envelope.read()?;
        envelope.verify(&root.keys, &root.roles.root)?;
        Ok(Client {
            now,
            files,
            root,
            rotations: 0,
            timestamp: None,
            snapshot: None,
            targets: None,
            delegated: BTreeMap::new(),
            pending: None,
            step: Step::Root,
        })
    }

    /// What to fetch next, `None` when the refresh of the top-level roles is complete. Asking changes nothing.
    ///
    /// # Errors
    /// [`TrustError::TooManyRotations`], or a signed length beyond this client's limits.
    pub fn next(&self) -> Result<Option<Fetch>, TrustError> {
        let versioned = |version| self.root.consistent_snapshot.then_some(version);
        Ok(Some(match (self.step, &self.timestamp, &self.snapshot) {
            (Step::Root, ..) if self.rotations >= MAX_ROOT_ROTATIONS => {
                return Err(TrustError::TooManyRotations { limit: MAX_ROOT_ROTATIONS });
            }
            (Step::Root, ..) => {
                let version = self.root.version.saturating_add(1);
                Fetch { name: file_name("root", Some(version)), max_len: ROOT_MAX_LEN }
            }
            (Step::Snapshot, Some(timestamp), _) => {
                let listed = &timestamp.meta.snapshot;
                let max_len = listed.max_len("snapshot", SNAPSHOT_MAX_LEN)?;
                Fetch { name: file_name("snapshot", versioned(listed.version)), max_len }
            }
            (Step::Targets, _, Some(snapshot)) => {
                let listed = &snapshot.meta.targets;
                let max_len = listed.max_len("targets", TARGETS_MAX_LEN)?;
                Fetch { name: file_name("targets", versioned(listed.version)), max_len }
            }
            (Step::Done, ..) => return Ok(None),
            _ => Fetch { name: file_name("timestamp", None), max_len: TIMESTAMP_MAX_LEN },
        }))
    }

    /// Takes the file that [`Client::next`], [`Client::find`] or [`Client::next_delegated`] asked for; `None` says that the
    /// server has no such file, which is normal only for the next root.
    ///
    /// # Errors
    /// Why the file is refused; the state is as before.
    pub fn feed(&mut self, name: &str, bytes: Option<&[u8]>) -> Result<(), TrustError> {
        let expected = match (&self.pending, self.step) {
            (Some(pending), Step::Done) => Some(pending.name.clone()),
            _ => self.next()?.map(|fetch| fetch.name),
        };
        if expected.as_deref() != Some(name) {
            let expected = expected.unwrap_or_else(|| "nothing".to_owned());
            return Err(TrustError::UnexpectedFile { expected, found: name.to_owned() });
        }
        match (self.step, bytes) {
            (Step::Root, Some(bytes)) => self.accept_root(bytes),
            (Step::Root, None) => self.finish_roots(),
            (_, None) => Err(TrustError::Missing { file: name.to_owned() }),
            (Step::Timestamp, Some(bytes)) => self.accept_timestamp(bytes),
            (Step::Snapshot, Some(bytes)) => self.accept_snapshot(bytes),
            (Step::Targets, Some(bytes)) => self.accept_targets(bytes),
            (Step::Done, Some(bytes)) => self.accept_pending(bytes),
        }
    }

    /// The verified files, verbatim as received. Persist them also after an error (spec 5.3.8, 5.4.5, 5.5.7, 5.6.6).
    pub fn trusted(&self) -> &TrustedFiles {
        &self.files
    }

    /// A set of files that verifies on its own, to keep beside what was installed from it: what [`Client::offline`] accepts.
    /// `None` before the refresh is complete. Of the delegated roles it holds those that were looked at since.
    ///
    /// It is not the same as [`Client::trusted`], which after a failure holds files of two refreshes: enough to refuse a
    /// rollback next time, but not consistent.
    pub fn proof(&self) -> Option<TrustedFiles> {
        let mut files = self.files.clone();
        files.delegated.retain(|role, _| self.delegated.keys().any(|(_, loaded)| loaded == role));
        (self.step == Step::Done).then_some(files)
    }

    /// The trusted root.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The trusted timestamp, once the refresh is complete.
    pub fn timestamp(&self) -> Option<&Timestamp> {
        self.timestamp.as_ref().filter(|_| self.step == Step::Done)
    }

    /// The trusted snapshot, once the refresh is complete.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref().filter(|_| self.step == Step::Done)
    }
}

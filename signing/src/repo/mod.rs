//! Writing a repository (feature `secret-keys`): an in-memory model, files out as bytes.
//!
//! ```text
//! create / load ─→ set_target, remove_target, set_signers, renew
//!                    ─→ propose ─→ Proposal::sign, on as many machines as it takes ─→ accept
//!                    ─→ complete(snapshot and timestamp keys) ─→ {file name: bytes}
//! ```
//!
//! [`Repository::write`] does the lower two lines at once with keys at hand. What changed gets a new version, snapshot and timestamp
//! always do. Before files are handed out they are verified by the same code that the clients run; a result that they would
//! refuse is never handed out, and the model is then as before.

mod edit;
mod keys;
mod proposal;
mod write;

use std::collections::BTreeMap;

pub use self::keys::{RoleKeys, RoleName};
pub use self::proposal::{Need, Progress, Proposal};
use crate::client::{Client, TrustedFiles};
use crate::error::TrustError;
use crate::metadata::{
    Delegation, Delegations, Extra, RoleMetadata, Root, RootRoles, SPEC_VERSION, Signers, Targets,
};
pub use crate::sign::{SignError, sign_envelope};
use crate::time::UnixTime;

/// How long newly signed metadata is valid, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Root.
    pub root: i64,
    /// Top-level targets.
    pub targets: i64,
    /// Releases and pins.
    pub delegated: i64,
    /// Snapshot.
    pub snapshot: i64,
    /// Timestamp.
    pub timestamp: i64,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { root: 730, targets: 365, delegated: 365, snapshot: 90, timestamp: 30 }
    }
}

/// The three roles that name targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// The top-level role: only what is not delegated (the release-counter floor).
    Targets,
    /// `images/*`, signed by the release key.
    Releases,
    /// `pins/*`, signed by the admins.
    Pins,
}

impl Section {
    /// The role that signs this section.
    pub fn role(self) -> RoleName {
        match self {
            Section::Targets => RoleName::Targets,
            Section::Releases => RoleName::Releases,
            Section::Pins => RoleName::Pins,
        }
    }
}

/// A repository in memory: what was last written, and the changes since.
#[derive(Debug, Clone)]
pub struct Repository {
    lifetimes: Lifetimes,
    written: TrustedFiles,
    root: Role<Root>,
    targets: Role<Targets>,
    releases: Role<Targets>,
    pins: Role<Targets>,
    /// Accepted, but listed by no snapshot yet.
    fresh: BTreeMap<String, Vec<u8>>,
}

/// The content of one role; `written` is what the last written file says.
#[derive(Debug, Clone)]
struct Role<T> {
    content: T,
    written: Option<T>,
    renew: bool,
}

impl<T: PartialEq + RoleMetadata> Role<T> {
    fn new(content: T) -> Self {
        Self { content, written: None, renew: false }
    }

    fn loaded(content: T) -> Self
    where
        T: Clone,
    {
        Self { written: Some(content.clone()), content, renew: false }
    }

    fn is_changed(&self) -> bool {
        self.renew || self.written.as_ref() != Some(&self.content)
    }
}

impl Repository {
    /// A new repository for the public halves of `keys`, every role with threshold 1 (see [`Repository::set_signers`]).
    /// Nothing is signed before the first [`Repository::write`].
    pub fn create(keys: &RoleKeys, lifetimes: Lifetimes) -> Self {
        // Versions, listings and expiry are set when a role is signed.
        let (version, expires) = (0, UnixTime(0));
        let signers = |role| Signers::new(&keys.public(role), 1);
        let root = Root {
            kind: Root::TYPE.to_owned(),
            spec_version: SPEC_VERSION.to_owned(),
            version,
            expires,
            consistent_snapshot: true,
            keys: keys.table(&[RoleName::Root, RoleName::Targets, RoleName::Snapshot, RoleName::Timestamp]),
            roles: RootRoles {
                root: signers(RoleName::Root),
                targets: signers(RoleName::Targets),
                snapshot: signers(RoleName::Snapshot),
                timestamp: signers(RoleName::Timestamp),
                extra: Extra::new(),
            },
            extra: Extra::new(),
        };
        let delegation = |role: RoleName, paths: &str| Delegation {
            name: role.as_str().to_owned(),
            signers: signers(role),
            terminating: true,
            paths: Some(vec![paths.to_owned()]),
            path_hash_prefixes: None,
            extra: Extra::new(),
        };
        let delegations = Delegations {
            keys: keys.table(&[RoleName::Releases, RoleName::Pins]),
            roles: vec![delegation(RoleName::Releases, "images/*"), delegation(RoleName::Pins, "pins/*")],
            extra: Extra::new(),
        };
        let targets = |delegations| {
            Role::new(Targets {
                kind: Targets::TYPE.to_owned(),
                spec_version: SPEC_VERSION.to_owned(),
                version,
                expires,
                targets: BTreeMap::new(),
                delegations,
                extra: Extra::new(),
            })
        };
        Self {
            lifetimes,
            written: TrustedFiles::default(),
            root: Role::new(root),
            targets: targets(Some(delegations)),
            releases: targets(None),
            pins: targets(None),
            fresh: BTreeMap::new(),
        }
    }

    /// Reads a repository that was written before. The files are verified against each other; expired ones are welcome, since
    /// writing is how they become valid again.
    ///
    /// # Errors
    /// The files do not verify, or are not those of a repository with the roles `releases` and `pins`.
    pub fn load(files: TrustedFiles, lifetimes: Lifetimes) -> Result<Self, SignError> {
        let client = Client::offline(files)?;
        let role = |role: RoleName| {
            let content = client.role(role.as_str()).cloned().map(Role::loaded);
            content.ok_or_else(|| TrustError::Missing { file: format!("{}.json", role.as_str()) })
        };
        Ok(Self {
            lifetimes,
            root: Role::loaded(client.root().clone()),
            targets: role(RoleName::Targets)?,
            releases: role(RoleName::Releases)?,
            pins: role(RoleName::Pins)?,
            fresh: BTreeMap::new(),
            written: client.trusted().clone(),
        })
    }

    /// The files of the last write, as a client would hold them.
    pub fn files(&self) -> &TrustedFiles {
        &self.written
    }

    /// The root with the changes so far.
    pub fn root(&self) -> &Root {
        &self.root.content
    }

    /// A targets role with the changes so far.
    pub fn section(&self, section: Section) -> &Targets {
        &self.role_of(section).content
    }

    fn role_of(&self, section: Section) -> &Role<Targets> {
        match section {
            Section::Targets => &self.targets,
            Section::Releases => &self.releases,
            Section::Pins => &self.pins,
        }
    }

    fn role_of_mut(&mut self, section: Section) -> &mut Role<Targets> {
        match section {
            Section::Targets => &mut self.targets,
            Section::Releases => &mut self.releases,
            Section::Pins => &mut self.pins,
        }
    }
}

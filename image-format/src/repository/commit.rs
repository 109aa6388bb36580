//! Publishing: verify, check, write, switch.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;

use rustix::fs::FlockOperation;
use signing::client::{Client, Fetch, load_all, refresh};
use signing::metadata::file_name;
use signing::{TrustedFiles, UnixTime};

use super::listing::{Listing, Targets, floors};
use super::names::{MetadataFile, TIMESTAMP, TargetFile};
use super::{CommitError, ContentError, Repository, Upload, check, load};
use crate::store::{StoreError, files};
use crate::{Group, ImageName, Sha256};

/// What a commit has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// Whether anything was new. Publishing the same again changes nothing, and succeeds.
    pub changed: bool,
    /// Images that were not listed before.
    pub images: Vec<ImageName>,
    /// Groups whose pin is new or another one.
    pub pins: Vec<Group>,
}

impl Repository<'_> {
    /// Publishes: all of `upload` takes effect, or nothing. Files that are in the store already need not be sent, and sent
    /// files that nothing refers to are not kept. Files that are sent again replace damaged ones, except roots and the
    /// timestamp: those say what is trusted.
    ///
    /// # Errors
    /// [`CommitError`]; then nothing has changed.
    pub fn commit(&self, upload: Upload, now: UnixTime) -> Result<Committed, CommitError> {
        check_names(&upload)?;
        let turn = self.take_turn()?;
        let old = self.present(&upload)?;
        self.commit_on(&turn, old, upload, now)
    }

    /// What is published now; files that are damaged in the store are read from `upload`.
    pub(super) fn present(&self, upload: &Upload) -> Result<Option<Client>, CommitError> {
        let old = load::load(self);
        let old = old.or_else(|first| load::load_repaired(self, &upload.metadata).map_err(|_| first));
        old.map_err(CommitError::Present)
    }

    /// Commits on top of `old`, which is what is published while the turn is taken.
    pub(super) fn commit_on(
        &self,
        _turn: &File,
        old: Option<Client>,
        upload: Upload,
        now: UnixTime,
    ) -> Result<Committed, CommitError> {
        check_base(old.as_ref(), &upload)?;
        let timestamp = upload.metadata.get(TIMESTAMP).ok_or(CommitError::NoTimestamp)?;
        let is_same = old.as_ref().is_some_and(|old| old.trusted().timestamp.as_ref() == Some(timestamp));
        // What was accepted once does not expire by being sent again.
        let now = if is_same { load::ALWAYS } else { now };
        Attempt { repository: self, old, upload, now }.run()
    }

    /// Waits until no other process commits.
    pub(super) fn take_turn(&self) -> Result<File, StoreError> {
        for name in ["", "metadata", "targets", "targets/images", "targets/pins"] {
            files::make_dir(&self.tuf().join(name))?;
        }
        let dir = self.tuf();
        let locked = File::open(&dir).and_then(|file| {
            rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        });
        locked.map_err(|source| StoreError::io("lock directory", &dir, source))
    }
}

/// A verified state that is not published yet.
pub(super) struct Next {
    pub(super) client: Client,
    /// Roots that are not in use yet.
    pub(super) roots: Vec<(String, Vec<u8>)>,
    /// All other metadata files of the state; the timestamp is last.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

struct Attempt<'r> {
    repository: &'r Repository<'r>,
    /// What is published now.
    old: Option<Client>,
    upload: Upload,
    now: UnixTime,
}

impl Attempt<'_> {
    fn run(self) -> Result<Committed, CommitError> {
        self.check_roots()?;
        let next = self.verify()?;
        let listing = Listing::of(&next.client)?;
        let committed = self.check(&listing, &next.client)?;
        let changed = self.repository.write(&next, &listing, &self.upload)?;
        Ok(Committed { changed, ..committed })
    }

    /// Roots that are trusted already are what they are: another admin's metadata is told apart at once.
    fn check_roots(&self) -> Result<(), CommitError> {
        let trusted = self.old.as_ref().map_or(0, |old| old.root().version);
        for (name, sent) in &self.upload.metadata {
            let is_trusted = load::root_version(name).is_some_and(|version| version <= trusted);
            if is_trusted && self.repository.read_metadata(name)?.as_ref() != Some(sent) {
                return Err(CommitError::Conflict { file: name.clone() });
            }
        }
        Ok(())
    }

    /// Runs the client from the present state over what was sent, and over the store for what was not.
    ///
    /// Roots in the store that are not in use are remains of a commit that was killed. They belong to this one if it is the same
    /// again and the sender skipped what is there; else they must not stand in its way.
    fn verify(&self) -> Result<Next, CommitError> {
        let sent = |name: &str| self.upload.metadata.get(name).cloned();
        let sent_or_stored = |name: &str| match sent(name) {
            Some(bytes) => Ok(Some(bytes)),
            None => self.repository.read_metadata(name),
        };
        let no_stored_root = |name: &str| match load::root_version(name) {
            Some(_) => Ok(sent(name)),
            None => sent_or_stored(name),
        };
        match self.verify_from(sent_or_stored) {
            Err(CommitError::Content(ContentError::Trust(first))) => {
                self.verify_from(no_stored_root).map_err(|_| ContentError::Trust(first).into())
            }
            result => result,
        }
    }

    fn verify_from(
        &self,
        source: impl Fn(&str) -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<Next, CommitError> {
        let roots = RefCell::new(Vec::new());
        let fetch = |wanted: &Fetch| -> Result<Option<Vec<u8>>, StoreError> {
            let bytes = source(&wanted.name)?;
            if let (Some(_), Some(bytes)) = (load::root_version(&wanted.name), &bytes) {
                roots.borrow_mut().push((wanted.name.clone(), bytes.clone()));
            }
            Ok(bytes)
        };
        let trusted = match &self.old {
            Some(old) => old.trusted().clone(),
            None => {
                let first = Fetch { name: "1.root.json".to_owned(), max_len: u64::MAX };
                TrustedFiles::from_root(fetch(&first)?.ok_or(CommitError::NoRoot)?)
            }
        };
        let mut client = Client::new(trusted, self.now).map_err(ContentError::Trust)?;
        refresh(&mut client, fetch).map_err(ContentError::from)?;
        load_all(&mut client, fetch).map_err(ContentError::from)?;
        if !client.root().consistent_snapshot {
            return Err(ContentError::Layout { expected: "consistent snapshots" }.into());
        }
        let files = load::current_files(&client);
        self.check_versions(&files)?;
        Ok(Next { client, roots: roots.into_inner(), files })
    }

    /// No version that is in use changes its content under the readers.
    fn check_versions(&self, files: &[(String, Vec<u8>)]) -> Result<(), CommitError> {
        let conflict = |file: &str| Err(CommitError::Conflict { file: file.to_owned() });
        // A client that is offered an equal version keeps what it has; for a publisher that is no success.
        if files.last().map(|(_, bytes)| bytes) != self.upload.metadata.get(TIMESTAMP) {
            return conflict(TIMESTAMP);
        }
        let Some(old) = &self.old else { return Ok(()) };
        let in_use: BTreeMap<_, _> = load::current_files(old).into_iter().collect();
        for (name, bytes) in files.iter().filter(|(name, _)| name != TIMESTAMP) {
            if in_use.get(name).is_some_and(|used| used != bytes) {
                return conflict(name);
            }
        }
        Ok(())
    }

    fn check(&self, new: &Listing, client: &Client) -> Result<Committed, CommitError> {
        let old = self.old.as_ref().map(Listing::of).transpose()?;
        let targets = Targets { repository: self.repository, sent: &self.upload.targets };
        let added = check::new_images(old.as_ref(), new)?;
        for (name, listed) in &added {
            check::image(self.repository.store, &targets, name, listed)?;
        }
        for (name, listed) in &new.patches {
            // The image may have gone, or another manifest be listed, since they were checked.
            targets.patches(new, name, listed)?;
            if old.as_ref().and_then(|old| old.patches.get(name)) != Some(listed) {
                check::patches(self.repository.store, &targets, new, name, listed)?;
            }
        }
        targets.pins(new)?;
        targets.assignments(new)?;
        floors(client)?;
        let is_new = |group: &Group| old.as_ref().and_then(|old| old.pins.get(group)) != new.pins.get(group);
        Ok(Committed {
            changed: false,
            images: added.into_iter().map(|(name, _)| name.clone()).collect(),
            pins: new.pins.keys().filter(|group| is_new(group)).cloned().collect(),
        })
    }
}

/// Compare and set: each role that the sender has changed must be the one that he changed. Sending again what has become current
/// is no conflict.
pub(super) fn check_base(old: Option<&Client>, upload: &Upload) -> Result<(), CommitError> {
    let current = old.map(load::current_roles).unwrap_or_default();
    for (role, base) in &upload.base {
        let current = current.iter().find(|file| file.role == *role);
        let is_same = current.is_some_and(|current| {
            upload
                .metadata
                .get(&file_name(role, Some(current.version)))
                .is_some_and(|sent| *sent == current.bytes)
        });
        let published = current.map(|current| Sha256::of(&current.bytes));
        if !is_same && published != Some(*base) {
            return Err(CommitError::Base { role: role.chars().take(120).collect(), base: *base, published });
        }
    }
    Ok(())
}

pub(super) fn check_names(upload: &Upload) -> Result<(), CommitError> {
    let limit = |file: &String, bytes: &[u8], max| match bytes.len() as u64 {
        found if found > max => Err(CommitError::TooLarge { file: file.clone(), max, found }),
        _ => Ok(()),
    };
    for (name, bytes) in &upload.metadata {
        limit(name, bytes, name.parse::<MetadataFile>()?.max_len())?;
    }
    for (name, bytes) in &upload.targets {
        let file: TargetFile = name.parse()?;
        limit(name, bytes, file.max_len())?;
        let found = Sha256::of(bytes);
        if found != file.sha256 {
            return Err(ContentError::Digest { file: name.clone(), found }.into());
        }
    }
    Ok(())
}

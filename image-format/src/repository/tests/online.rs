//! Commits that are completed where the store is, signing anew, and compare and set.

use signing::online::{OnlineKeys, OnlineLifetimes, Versions};
use signing::repo::RoleName;
use signing::{TrustError, TrustedFiles, UnixTime};

use super::publisher::{NOW, Publisher, stored_image};
use crate::Sha256;
use crate::repository::{
    Above, CommitError, Committed, ContentError, OnlineFault, OnlineSigner, Renewal, Repository, Upload,
    View, load_view,
};
use crate::store::tests::store;
use crate::store::{Store, fault};

const LIFETIMES: OnlineLifetimes = OnlineLifetimes { snapshot: 7 * 86_400, timestamp: 86_400 };

/// A server's keys.
struct Signer(OnlineKeys);

impl OnlineSigner for Signer {
    fn complete(
        &self,
        files: &TrustedFiles,
        above: Above,
        now: UnixTime,
    ) -> Result<TrustedFiles, OnlineFault> {
        let Above { snapshot, timestamp } = above;
        let signed = self.0.complete(files, Versions { snapshot, timestamp }, LIFETIMES, now);
        signed.map_err(|error| OnlineFault::NotListed(error.to_string()))
    }

    fn renew_timestamp(&self, files: &TrustedFiles, now: UnixTime) -> Result<TrustedFiles, OnlineFault> {
        let signed = self.0.renew_timestamp(files, LIFETIMES, now);
        signed.map_err(|error| OnlineFault::NotListed(error.to_string()))
    }
}

/// Signs nothing.
struct Broken;

impl OnlineSigner for Broken {
    fn complete(&self, _: &TrustedFiles, _: Above, _: UnixTime) -> Result<TrustedFiles, OnlineFault> {
        Err(OnlineFault::Failed("no key".into()))
    }

    fn renew_timestamp(&self, _: &TrustedFiles, _: UnixTime) -> Result<TrustedFiles, OnlineFault> {
        Err(OnlineFault::Failed("no key".into()))
    }
}

fn view(store: &Store) -> View {
    load_view(store).unwrap().unwrap()
}

/// Versions of pins, snapshot and timestamp.
fn versions(store: &Store) -> [u64; 3] {
    let view = view(store);
    ["pins", "snapshot", "timestamp"].map(|role| view.versions[role])
}

/// A store with `ha@1`, pinned for `web`, its admin, and who signs online.
fn published() -> (tempfile::TempDir, Store, Publisher, Signer) {
    let (dir, store) = store();
    let mut admin = Publisher::new();
    let digest = admin.list(&stored_image(&store, "ha@1", "one"));
    admin.pin("web", "ha@1", digest);
    let signer = Signer(admin.online_keys());
    let upload = Upload { base: Default::default(), ..admin.offline_upload() };
    let committed = Repository::open(&store).commit_online(upload, &signer, NOW).unwrap();
    assert!(committed.changed && committed.images.len() == 1);
    (dir, store, admin, signer)
}

fn pin(admin: &mut Publisher, store: &Store, group: &str) {
    admin.pin(group, "ha@1", view(store).images[&"ha@1".parse().unwrap()].0);
}

fn refused(store: &Store, upload: Upload, signer: &dyn OnlineSigner) -> CommitError {
    let repository = Repository::open(store);
    let before = (repository.export().unwrap(), repository.metadata_names().unwrap());
    let error = repository.commit_online(upload, signer, NOW).unwrap_err();
    assert_eq!((repository.export().unwrap(), repository.metadata_names().unwrap()), before, "{error}");
    error
}

#[test]
fn a_commit_without_snapshot_and_timestamp_gets_them() {
    let (_dir, store, mut admin, signer) = published();
    let repository = Repository::open(&store);
    assert_eq!(versions(&store), [1, 1, 1]);
    assert_eq!(view(&store).expiries["timestamp"], NOW.plus_days(1));
    pin(&mut admin, &store, "db");
    let upload = admin.offline_upload();
    let committed = repository.commit_online(upload.clone(), &signer, NOW).unwrap();
    assert_eq!((committed.changed, committed.pins), (true, vec!["db".parse().unwrap()]));
    assert_eq!(versions(&store), [2, 2, 2]);
    // A lost answer: the same again, although another file is replaced than it says.
    assert_eq!(repository.commit_online(upload, &signer, NOW).unwrap(), Committed::default());
    assert_eq!(versions(&store), [2, 2, 2]);
    // Without keys nothing of it is possible.
    pin(&mut admin, &store, "lab");
    let upload = admin.offline_upload();
    assert!(matches!(repository.commit(upload.clone(), NOW), Err(CommitError::NoTimestamp)));
    let error = refused(&store, upload, &Broken);
    assert!(error.is_internal() && error.to_string().contains("cannot be signed online"), "{error}");
}

#[test]
fn a_first_commit_can_be_refused_and_repeated() {
    let (_dir, store) = store();
    let mut admin = Publisher::new();
    let signer = Signer(admin.online_keys());
    let mut upload = admin.offline_upload();
    upload.base.clear();
    let root = upload.metadata.remove("1.root.json").unwrap();
    let repository = Repository::open(&store);
    assert!(matches!(repository.commit_online(upload.clone(), &signer, NOW), Err(CommitError::NoRoot)));
    upload.metadata.insert("1.root.json".into(), root);
    assert!(repository.commit_online(upload.clone(), &Broken, NOW).unwrap_err().is_internal());
    // Nothing is published: nothing can be replaced.
    upload.base.insert("pins".into(), Sha256::of(b""));
    let error = repository.commit_online(upload.clone(), &signer, NOW).unwrap_err();
    assert!(matches!(error, CommitError::Base { published: None, .. }), "{error}");
    upload.base.clear();
    assert!(load_view(&store).unwrap().is_none());
    repository.commit_online(upload, &signer, NOW).unwrap();
    assert_eq!(versions(&store), [1, 1, 1]);
}

#[test]
fn a_change_of_what_is_not_published_is_refused_also_with_a_higher_version() {
    let (_dir, store, mut admin, signer) = published();
    let mut other = admin.clone();
    let base = view(&store).digests["pins"];
    pin(&mut admin, &store, "db");
    let upload = admin.offline_upload();
    assert_eq!(upload.base, [("pins".to_owned(), base)].into());
    Repository::open(&store).commit_online(upload, &signer, NOW).unwrap();
    let current = view(&store).digests["pins"];

    // The other one has signed once: the same version.
    pin(&mut other, &store, "lab");
    let once = other.offline_upload();
    let error = refused(&store, once.clone(), &signer);
    assert!(error.is_conflict());
    assert!(
        matches!(&error, CommitError::Base { role, base: on, published: Some(found) }
        if role == "pins" && *on == base && *found == current),
        "{error}"
    );
    // Twice: a higher one, which the client of TUF would take for newer, and with it the pin of `db` away.
    pin(&mut other, &store, "x");
    let twice = other.offline_upload();
    assert!(twice.metadata.contains_key("3.pins.json"));
    for base in [twice.base.clone(), once.base.clone()] {
        let upload = Upload { base, ..twice.clone() };
        assert!(matches!(refused(&store, upload, &signer), CommitError::Base { .. }));
    }
    // The same holds where the admin signs everything himself.
    let full = Upload { base: once.base.clone(), ..other.upload() };
    assert!(matches!(Repository::open(&store).commit(full, NOW), Err(CommitError::Base { .. })));
    // Whoever names no base is told by the version, if at all.
    let mut silent = once;
    silent.base.clear();
    assert!(
        matches!(refused(&store, silent, &signer), CommitError::Conflict { file } if file == "2.pins.json")
    );
    assert!(view(&store).pins.contains_key(&"db".parse().unwrap()));
}

#[test]
fn other_roles_are_not_compared() {
    let (_dir, store, mut admin, signer) = published();
    let mut other = admin.clone();
    pin(&mut admin, &store, "db");
    Repository::open(&store).commit_online(admin.offline_upload(), &signer, NOW).unwrap();
    // An image by somebody who has not heard of the pin.
    other.list(&stored_image(&store, "ha@2", "two"));
    let committed = Repository::open(&store).commit_online(other.offline_upload(), &signer, NOW).unwrap();
    assert_eq!(committed.images, ["ha@2".parse().unwrap()]);
    let view = view(&store);
    assert_eq!((view.images.len(), view.pins.len()), (2, 2), "both are there");
}

#[test]
fn old_and_forked_files_are_refused() {
    let (_dir, store, mut admin, signer) = published();
    let mut old = Upload { base: Default::default(), ..admin.clone().offline_upload() };
    old.metadata = Repository::open(&store).export().unwrap().unwrap().metadata;
    pin(&mut admin, &store, "db");
    Repository::open(&store).commit_online(admin.offline_upload(), &signer, NOW).unwrap();
    let error = refused(&store, old, &signer);
    assert!(error.is_conflict());
    let CommitError::Content(ContentError::Trust(TrustError::Rollback { role, trusted: 2, found: 1 })) =
        error
    else {
        panic!("{error:?}")
    };
    assert_eq!(role, "pins");
}

/// Nodes may have seen higher versions: of the same server before its disk was lost.
#[test]
fn versions_go_on_above_what_was_signed_and_not_above_what_was_claimed() {
    let (_dir, store, mut admin, signer) = published();
    let repository = Repository::open(&store);
    let present = repository.export().unwrap().unwrap();
    let seen = |above: Versions, signer: &Signer| {
        let trusted = repository.trusted().unwrap().unwrap();
        signer.0.complete(&trusted, above, LIFETIMES, NOW).unwrap()
    };
    let with = |files: &TrustedFiles, snapshot: u64| {
        let mut upload = present.clone();
        upload.metadata.remove("1.snapshot.json");
        upload.metadata.insert(format!("{snapshot}.snapshot.json"), files.snapshot.clone().unwrap());
        upload.metadata.insert("timestamp.json".into(), files.timestamp.clone().unwrap());
        upload
    };
    let newer = seen(Versions { snapshot: 40, timestamp: 400 }, &signer);
    assert!(repository.commit_online(with(&newer, 41), &signer, NOW).unwrap().changed);
    assert_eq!(versions(&store), [1, 42, 402]);
    // The same by a stranger counts for nothing, whatever it says.
    let mut claimed = with(&newer, 41);
    for bytes in claimed.metadata.values_mut() {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.replace("\"version\": 401", "\"version\": 9000000000000000000").into_bytes();
    }
    assert_eq!(repository.commit_online(claimed, &signer, NOW).unwrap(), Committed::default());
    pin(&mut admin, &store, "db");
    repository.commit_online(admin.offline_upload(), &signer, NOW).unwrap();
    assert_eq!(versions(&store), [2, 43, 403]);
}

#[test]
fn what_is_published_is_signed_anew() {
    let (_dir, store, mut admin, signer) = published();
    let repository = Repository::open(&store);
    let later = NOW.plus_days(2);
    assert!(repository.resign(Renewal::Timestamp, &signer, later).unwrap());
    assert_eq!(versions(&store), [1, 1, 2]);
    assert_eq!(view(&store).expiries["timestamp"], later.plus_days(1));
    assert!(repository.resign(Renewal::Snapshot, &signer, later).unwrap());
    assert_eq!(versions(&store), [1, 2, 3]);
    assert_eq!(view(&store).expiries["snapshot"], later.plus_days(7));
    // Nobody updates over an expired role of people, so it is not hidden behind a fresh timestamp.
    let error = repository.resign(Renewal::Snapshot, &signer, NOW.plus_days(366)).unwrap_err();
    let expired = matches!(&error, CommitError::Content(ContentError::Trust(TrustError::Expired { role, .. })) if role == "pins" || role == "releases" || role == "targets");
    assert!(expired, "{error:?}");
    assert!(repository.resign(Renewal::Timestamp, &Broken, later).unwrap_err().is_internal());
    // After the keys have gone to somebody else.
    admin.rotate(RoleName::Timestamp, 99);
    let mut handed = admin.offline_upload();
    handed.base.clear();
    let error = refused(&store, handed.clone(), &signer);
    assert!(
        matches!(&error, CommitError::Online(OnlineFault::NotListed(_))) && !error.is_internal(),
        "{error}"
    );
    let next = Signer(admin.online_keys());
    repository.commit_online(handed, &next, later).unwrap();
    assert!(matches!(
        repository.resign(Renewal::Timestamp, &signer, later),
        Err(CommitError::Online(OnlineFault::NotListed(_)))
    ));
    assert!(repository.resign(Renewal::Timestamp, &next, later).unwrap());
    assert_eq!(view(&store).root_version, 2);
    let (_dir, empty) = crate::store::tests::store();
    assert!(!Repository::open(&empty).resign(Renewal::Snapshot, &next, later).unwrap());
}

/// The disk is full from any operation on, or the server dies there: readers see old or new, and the next attempt completes.
#[test]
fn a_server_that_dies_while_it_completes_or_signs_anew() {
    for renewal in [None, Some(Renewal::Timestamp), Some(Renewal::Snapshot)] {
        let mut operations = 0;
        for after in 0.. {
            let (_dir, store, mut admin, signer) = published();
            let repository = Repository::open(&store);
            pin(&mut admin, &store, "db");
            let upload = admin.offline_upload();
            let attempt = || match renewal {
                None => {
                    repository.commit_online(upload.clone(), &signer, NOW).map(|committed| committed.changed)
                }
                Some(renewal) => repository.resign(renewal, &signer, NOW),
            };
            let (result, reached) = fault::dying_after(after, attempt);
            assert_eq!(result.is_err(), reached, "{result:?}");
            let [pins, snapshot, timestamp] = versions(&store);
            let new_snapshot = if renewal == Some(Renewal::Timestamp) { 1 } else { 2 };
            let whole =
                if timestamp == 1 { (1, 1) } else { (if renewal.is_none() { 2 } else { 1 }, new_snapshot) };
            assert_eq!((pins, snapshot), whole, "{renewal:?} {after}");
            // The same again; the timestamp's version says whether there was anything to do.
            let changed = attempt().unwrap();
            if renewal.is_none() {
                assert_eq!(changed, timestamp == 1);
                assert_eq!(versions(&store), [2, 2, 2]);
            }
            assert!(view(&store).versions["timestamp"] >= 2);
            operations = after;
            if !reached {
                break;
            }
        }
        assert!(operations > 12, "{renewal:?}: {operations}");
    }
}

/// Half of a commit lies there under names that are not current: neither a client nor the next commit takes it for published.
#[test]
fn remains_of_a_killed_commit_are_not_taken_for_current() {
    let (_dir, store, mut admin, signer) = published();
    let repository = Repository::open(&store);
    let mut other = admin.clone();
    pin(&mut admin, &store, "db");
    pin(&mut other, &store, "lab");
    let upload = admin.offline_upload();
    let died = (0..).find(|after| {
        let (_, reached) =
            fault::dying_after(*after, || repository.commit_online(upload.clone(), &signer, NOW));
        assert!(reached, "no state with remains was met");
        store.path().join("tuf/metadata/2.pins.json").exists()
    });
    assert!(died.is_some());
    assert_eq!(versions(&store), [1, 1, 1]);
    repository.commit_online(other.offline_upload(), &signer, NOW).unwrap();
    let groups: Vec<String> = view(&store).pins.keys().map(ToString::to_string).collect();
    assert_eq!(groups, ["lab", "web"]);
    assert!(matches!(refused(&store, upload, &signer), CommitError::Base { .. }));
}

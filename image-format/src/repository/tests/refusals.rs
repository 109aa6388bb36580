//! What a commit refuses: by name, and without a change.

use signing::repo::Section;
use signing::{TrustError, UnixTime, Value};

use super::publisher::{Image, NOW, Publisher, image, stored_image};
use crate::index::{Entry, Index};
use crate::manifest::ObjectRef;
use crate::repository::{CommitError, ContentError, LoadError, Repository, TargetFile, Upload, load_view};
use crate::store::Store;
use crate::store::tests::store;
use crate::{ObjectId, Sha256};

/// A store with `ha@1`, pinned for `web`, and its admin.
fn published() -> (tempfile::TempDir, Store, Publisher) {
    let (dir, store) = store();
    let mut admin = Publisher::new();
    let digest = admin.list(&stored_image(&store, "ha@1", "one"));
    admin.pin("web", "ha@1", digest);
    Repository::open(&store).commit(admin.upload(), NOW).unwrap();
    (dir, store, admin)
}

fn refused_at(store: &Store, upload: Upload, now: UnixTime) -> CommitError {
    let repository = Repository::open(store);
    let before = (repository.export().unwrap(), repository.metadata_names().unwrap());
    let error = repository.commit(upload, now).unwrap_err();
    assert_eq!((repository.export().unwrap(), repository.metadata_names().unwrap()), before, "{error}");
    error
}

fn refused(store: &Store, upload: Upload) -> CommitError {
    refused_at(store, upload, NOW)
}

fn put(store: &Store, bytes: &[u8]) -> ObjectRef {
    let mut batch = store.batch().unwrap();
    let id = batch.put(bytes).unwrap().id;
    batch.commit().unwrap();
    ObjectRef { id, size: bytes.len() as u64 }
}

#[test]
fn another_content_under_an_existing_name() {
    let (_dir, store, mut admin) = published();
    let other = stored_image(&store, "ha@1", "other");
    let offered_digest = admin.list(&other);
    admin.pin("web", "ha@1", offered_digest);
    let error = refused(&store, admin.upload());
    assert!(error.is_conflict());
    let CommitError::Republished { image, published, offered } = error else { panic!("{error:?}") };
    assert_eq!((image, offered), (other.name, offered_digest));
    assert_eq!(published, load_view(&store).unwrap().unwrap().images[&"ha@1".parse().unwrap()].0);
}

#[test]
fn an_image_without_its_objects() {
    let (_dir, store, mut admin) = published();
    let Image { manifest, objects } = image("ha@2", "two");
    admin.list(&manifest);
    let upload = admin.upload();
    // Nothing is there but what ha@1 has: the chunk in common and the initramfs.
    let missing = |upload: &Upload| match refused(&store, upload.clone()) {
        CommitError::MissingObjects { missing, total, what, first, .. } => (missing, total, what, first),
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(&upload), (3, 5, "index", manifest.root.index.id));
    let index = objects.iter().find(|object| ObjectId::of(object) == manifest.root.index.id).unwrap();
    put(&store, index);
    assert_eq!(missing(&upload), (2, 5, "kernel", manifest.kernel.object.id));
    for object in &objects[2..] {
        put(&store, object);
    }
    assert_eq!(missing(&upload), (1, 7, "chunk", ObjectId::of(&objects[1])));
    // Cut short is as bad as absent.
    put(&store, &objects[1]);
    let path = store.object_file(ObjectId::of(&objects[1]));
    std::fs::write(&path, &objects[1][1..]).unwrap();
    assert_eq!(missing(&upload), (1, 7, "chunk", ObjectId::of(&objects[1])));
    put(&store, &objects[1]);
    Repository::open(&store).commit(upload, NOW).unwrap();
}

#[test]
fn an_index_that_is_none_or_of_another_size() {
    let (_dir, store, admin) = published();
    let upload_with = |bytes: &[u8]| {
        let mut manifest = stored_image(&store, "ha@2", "two");
        manifest.root.index = put(&store, bytes);
        let mut admin = admin.clone();
        admin.list(&manifest);
        admin.upload()
    };
    assert!(matches!(refused(&store, upload_with(&[1; 96])), CommitError::Index { .. }));
    let short = Index::new(vec![Entry::zero(4096); 2]).unwrap().encode();
    let error = refused(&store, upload_with(&short));
    assert!(matches!(error, CommitError::IndexSize { expected: 28672, found: 8192, .. }));
}

#[test]
fn pins_to_what_is_not_published() {
    let (_dir, store, admin) = published();
    let with_pin = |image: &str, manifest: &[u8]| {
        let mut admin = admin.clone();
        admin.pin("db", image, Sha256::of(manifest));
        refused(&store, admin.upload())
    };
    let error = with_pin("ha@2", b"");
    assert!(matches!(&error, CommitError::Content(ContentError::PinUnlisted { .. })), "{error}");
    assert_eq!(error.to_string(), "pin of db: image ha@2 is not published");
    let error = with_pin("ha@1", b"");
    assert!(matches!(error, CommitError::Content(ContentError::PinDigest { .. })), "{error}");

    let mut admin = admin.clone();
    admin.unlist(Section::Releases, "images/ha@1.json");
    let error = refused(&store, admin.upload());
    assert_eq!(error.to_string(), "pin of web: image ha@1 is not published", "still pinned");
}

#[test]
fn documents_that_speak_of_something_else() {
    let (_dir, store, admin) = published();
    let with = |section, path: &str, bytes: Vec<u8>| {
        let mut admin = admin.clone();
        admin.list_bytes(section, path, bytes);
        let mut upload = admin.upload();
        // A file that no name fits cannot even be sent.
        upload.targets.retain(|name, _| name.parse::<TargetFile>().is_ok());
        match refused(&store, upload) {
            CommitError::Content(error) => error,
            other => panic!("{other:?}"),
        }
    };
    let manifest = stored_image(&store, "ha@2", "two").to_bytes().unwrap();
    let error = with(Section::Releases, "images/ha@3.json", manifest.clone());
    assert!(matches!(error, ContentError::OtherName { found, .. } if found == "ha@2"));
    let error = with(Section::Releases, "images/ha@2.json", b"{}".to_vec());
    assert!(matches!(error, ContentError::Document { .. }));
    let pin = Repository::open(&store).export().unwrap().unwrap();
    let pin = pin.targets.iter().find(|(name, _)| name.contains("web")).unwrap().1.clone();
    let error = with(Section::Pins, "pins/db.json", pin);
    assert!(matches!(error, ContentError::OtherName { found, .. } if found == "web"));
    let error = with(Section::Pins, "pins/@assignments.json", b"[]".to_vec());
    assert!(matches!(error, ContentError::Document { .. }));
    for path in ["images/README", "images/HA@1.json", "images/ha.json"] {
        let error = with(Section::Releases, path, manifest.clone());
        assert!(matches!(error, ContentError::Path { role: "releases", .. }), "{error}");
    }
    assert!(matches!(with(Section::Pins, "pins/@x.json", vec![]), ContentError::Path { role: "pins", .. }));
}

#[test]
fn a_listed_file_that_is_not_sent() {
    let (_dir, store, mut admin) = published();
    admin.list(&stored_image(&store, "ha@2", "two"));
    let mut upload = admin.upload();
    upload.targets.clear();
    let error = refused(&store, upload);
    assert!(matches!(error, CommitError::Content(ContentError::Missing { file }) if file.contains("ha@2")));
}

#[test]
fn floors_of_another_shape() {
    let (_dir, store, admin) = published();
    let wrong = [
        None,
        Some(Value::from([("floors", 1.into())])),
        Some(Value::from([("bascule", Value::from([("floors", Value::from([("ha", Value::from(-1))]))]))])),
        Some(Value::from([("bascule", Value::from([("floors", Value::from([("HA", Value::from(1))]))]))])),
    ];
    for custom in wrong {
        let mut admin = admin.clone();
        admin.floor(custom);
        let error = refused(&store, admin.upload());
        assert!(matches!(error, CommitError::Content(ContentError::Floors { .. })), "{error}");
    }
}

#[test]
fn what_is_older_or_forked() {
    let (_dir, store, mut admin) = published();
    let old = Repository::open(&store).export().unwrap().unwrap();
    let mut fork = admin.clone();
    admin.list(&stored_image(&store, "ha@2", "two"));
    Repository::open(&store).commit(admin.upload(), NOW).unwrap();

    let error = refused(&store, old);
    assert!(error.is_conflict());
    let CommitError::Content(ContentError::Trust(TrustError::Rollback { role, trusted: 2, found: 1 })) =
        error
    else {
        panic!("{error:?}")
    };
    assert_eq!(role, "timestamp");

    // The same versions with another content, signed by the right keys.
    fork.list(&stored_image(&store, "ha@3", "three"));
    let mut forked = fork.upload();
    let error = refused(&store, forked.clone());
    assert!(matches!(&error, CommitError::Conflict { file } if file == "timestamp.json"));
    assert!(error.is_conflict());
    // A newer timestamp over it: the client of TUF would take it, but version 2 of releases is in use.
    fork.unlist(Section::Pins, "pins/web.json");
    forked.metadata.extend(fork.upload().metadata);
    assert!(matches!(refused(&store, forked), CommitError::Conflict { file } if file == "2.releases.json"));
}

#[test]
fn keys_of_strangers_and_expired_metadata() {
    let (_dir, store, mut admin) = published();
    let mut stranger = Publisher::with_keys(2);
    stranger.list(&stored_image(&store, "ha@1", "one"));
    // Its root is not the one that is trusted.
    let upload = stranger.upload();
    assert!(
        matches!(refused(&store, upload.clone()), CommitError::Conflict { file } if file == "1.root.json")
    );
    let mut without_root = upload;
    without_root.metadata.remove("1.root.json");
    let error = refused(&store, without_root);
    assert!(
        matches!(error, CommitError::Content(ContentError::Trust(TrustError::Threshold { valid: 0, .. }))),
        "{error}"
    );
    let late = refused_at(&store, admin.upload(), NOW.plus_days(31));
    let CommitError::Content(ContentError::Trust(TrustError::Expired { role, .. })) = late else {
        panic!("{late:?}")
    };
    assert_eq!(role, "timestamp");
}

#[test]
fn names_and_sizes_that_do_not_fit() {
    let (_dir, store, mut admin) = published();
    let good = admin.upload();
    let with_metadata = |name: &str, bytes: Vec<u8>| {
        let mut upload = good.clone();
        upload.metadata.insert(name.to_owned(), bytes);
        refused(&store, upload)
    };
    for name in ["../1.root.json", "root.json", "1.root.json/x", "1.%2e.json"] {
        assert!(matches!(with_metadata(name, vec![]), CommitError::Name(_)), "{name}");
    }
    let long = vec![b' '; 6 << 20];
    assert!(matches!(
        with_metadata("9.pins.json", long.clone()),
        CommitError::TooLarge { max: 5_242_880, .. }
    ));
    let with_target = |name: String, bytes: Vec<u8>| {
        let mut upload = good.clone();
        upload.targets.insert(name, bytes);
        refused(&store, upload)
    };
    assert!(matches!(with_target("images/../x.json".into(), vec![]), CommitError::Name(_)));
    let name = format!("pins/{}.web.json", Sha256::of(b"x"));
    assert!(matches!(with_target(name.clone(), long), CommitError::TooLarge { max: 65536, .. }));
    assert!(matches!(with_target(name, b"y".to_vec()), CommitError::Content(ContentError::Digest { .. })));
    let mut upload = good.clone();
    upload.metadata.remove("timestamp.json");
    assert!(matches!(refused(&store, upload), CommitError::NoTimestamp));
    // What nothing refers to is not kept.
    let mut upload = good.clone();
    upload.metadata.insert("77.pins.json".into(), b"{}".to_vec());
    Repository::open(&store).commit(upload, NOW).unwrap();
    assert_eq!(Repository::open(&store).read_metadata("77.pins.json").unwrap(), None);
}

#[test]
fn a_first_commit_without_a_root() {
    let (_dir, store) = store();
    let mut upload = Publisher::new().upload();
    upload.metadata.remove("1.root.json");
    assert!(matches!(refused(&store, upload), CommitError::NoRoot));
}

#[test]
fn damage_in_the_store_is_found_at_loading() {
    let (_dir, store, _admin) = published();
    let metadata = |name: &str| store.path().join("tuf/metadata").join(name);
    let damaged = |name: &str, bytes: &[u8]| {
        let good = std::fs::read(metadata(name)).unwrap();
        std::fs::write(metadata(name), bytes).unwrap();
        let error = load_view(&store).unwrap_err();
        std::fs::write(metadata(name), good).unwrap();
        error
    };
    for name in Repository::open(&store).metadata_names().unwrap() {
        let mut bytes = std::fs::read(metadata(&name)).unwrap();
        let at = bytes.iter().position(|byte| *byte == b'1').unwrap();
        bytes[at] = b'2';
        let error = damaged(&name, &bytes);
        assert!(matches!(error, LoadError::Content(ContentError::Trust(_))), "{name}: {error}");
    }
    let target = Repository::open(&store).target_names().unwrap().pop().unwrap();
    let path = store.path().join("tuf/targets").join(&target);
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&good[..good.len() - 1], b"\n"].concat()).unwrap();
    let error = load_view(&store).unwrap_err();
    assert!(matches!(error, LoadError::Content(ContentError::Digest { file, .. }) if file == target));
    std::fs::remove_file(&path).unwrap();
    let error = load_view(&store).unwrap_err();
    assert!(matches!(error, LoadError::Content(ContentError::Missing { .. })));
    std::fs::remove_file(metadata("1.root.json")).unwrap();
    assert!(matches!(load_view(&store).unwrap_err(), LoadError::NoRoot));
}

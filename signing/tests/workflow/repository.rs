//! Writing: what gets a new version, who must sign, and that clients follow.

use std::collections::BTreeMap;

use signing::repo::{Lifetimes, Repository, RoleKeys, RoleName, Section, SignError};
use signing::{Client, TrustError, TrustedFiles, UnixTime, Value, find_target, refresh};

use crate::site::{NOW, key, repository, role_keys};

type Files = BTreeMap<String, Vec<u8>>;

fn names(files: &Files) -> Vec<&str> {
    files.keys().map(String::as_str).collect()
}

fn follow(server: &Files, trusted: TrustedFiles, path: &str) -> (bool, TrustedFiles) {
    let mut client = Client::new(trusted, NOW).unwrap();
    let fetch = |wanted: &signing::Fetch| Ok::<_, ()>(server.get(&wanted.name).cloned());
    refresh(&mut client, fetch).unwrap();
    let found = find_target(&mut client, path, fetch).unwrap().is_some();
    (found, client.trusted().clone())
}

#[test]
fn first_write_makes_every_file() {
    let keys = role_keys();
    let mut repo = repository(&keys);
    let files = repo.write(&keys, NOW).unwrap();
    assert_eq!(
        names(&files),
        [
            "1.pins.json",
            "1.releases.json",
            "1.root.json",
            "1.snapshot.json",
            "1.targets.json",
            "timestamp.json"
        ]
    );
    assert_eq!(repo.files().timestamp.as_ref(), Some(&files["timestamp.json"]));
    assert_eq!(repo.root().expires, NOW.plus_days(730));
}

#[test]
fn only_what_changed_gets_a_new_version() {
    let keys = role_keys();
    let mut repo = repository(&keys);
    let mut server = repo.write(&keys, NOW).unwrap();
    let (_, trusted) = follow(&server, TrustedFiles::from_root(server["1.root.json"].clone()), "floor");

    let mut repo = Repository::load(repo.files().clone(), Lifetimes::default()).unwrap();
    repo.set_target(Section::Pins, "pins/other.json", 1, &[5; 32], None).unwrap();
    // The admin has no release key.
    let mine = RoleKeys { releases: Vec::new(), root: Vec::new(), targets: Vec::new(), ..role_keys() };
    let files = repo.write(&mine, NOW).unwrap();
    assert_eq!(names(&files), ["2.pins.json", "2.snapshot.json", "timestamp.json"]);
    server.extend(files);
    let (found, trusted) = follow(&server, trusted, "pins/other.json");
    assert!(found);

    assert!(repo.remove_target(Section::Pins, "pins/other.json"));
    assert!(!repo.remove_target(Section::Pins, "pins/other.json"));
    server.extend(repo.write(&mine, NOW).unwrap());
    assert!(!follow(&server, trusted, "pins/other.json").0);

    assert_eq!(names(&repo.write(&mine, NOW).unwrap()), ["4.snapshot.json", "timestamp.json"]);
    repo.renew(RoleName::Pins);
    assert_eq!(names(&repo.write(&mine, NOW).unwrap()), ["4.pins.json", "5.snapshot.json", "timestamp.json"]);
    // A change that is taken back is no change.
    repo.set_target(Section::Pins, "pins/x.json", 1, &[5; 32], None).unwrap();
    repo.remove_target(Section::Pins, "pins/x.json");
    assert_eq!(names(&repo.write(&mine, NOW).unwrap()), ["6.snapshot.json", "timestamp.json"]);
}

#[test]
fn expired_repository_can_be_loaded_and_renewed() {
    let keys = role_keys();
    let mut repo = repository(&keys);
    repo.write(&keys, UnixTime(0)).unwrap();
    let mut repo = Repository::load(repo.files().clone(), Lifetimes::default()).unwrap();
    let first_root = repo.files().root.clone();
    RoleName::ALL.into_iter().for_each(|role| repo.renew(role));
    let server = repo.write(&keys, NOW).unwrap();
    assert!(follow(&server, TrustedFiles::from_root(first_root), "pins/lab.json").0);
}

#[test]
fn wrong_or_missing_keys_change_nothing() {
    let keys = role_keys();
    let mut repo = repository(&keys);
    repo.write(&keys, NOW).unwrap();
    let before = repo.files().clone();
    repo.set_target(Section::Releases, "images/ha@2.json", 1, &[5; 32], None).unwrap();
    for releases in [vec![], vec![key(4)]] {
        let wrong = RoleKeys { releases, ..role_keys() };
        let error = repo.write(&wrong, NOW).unwrap_err();
        assert!(
            matches!(&error, SignError::NotEnoughKeys { role, needed: 1, found: 0 } if role == "releases"),
            "{error:?}"
        );
        assert_eq!(repo.files(), &before);
    }
    assert_eq!(names(&repo.write(&keys, NOW).unwrap())[0], "2.releases.json");
}

/// Everything is signed, but no client would read a file of this size.
#[test]
fn what_clients_would_refuse_is_not_handed_out() {
    let keys = role_keys();
    let mut repo = repository(&keys);
    repo.write(&keys, NOW).unwrap();
    let before = repo.files().clone();
    let custom = Some(Value::String("x".repeat(5 << 20)));
    repo.set_target(Section::Releases, "images/ha@2.json", 1, &[5; 32], custom).unwrap();
    let outcome = repo.write(&keys, NOW);
    assert!(matches!(outcome, Err(SignError::Trust(TrustError::EndlessData { .. }))), "{outcome:?}");
    assert_eq!(repo.files(), &before);
    repo.remove_target(Section::Releases, "images/ha@2.json");
    repo.write(&keys, NOW).unwrap();
}

#[test]
fn sections_accept_only_their_own_paths() {
    let mut repo = repository(&role_keys());
    for (section, path) in [
        (Section::Pins, "images/x"),
        (Section::Releases, "pins/x"),
        (Section::Targets, "pins/x"),
        (Section::Releases, "floor"),
        (Section::Releases, "images/a/b"),
    ] {
        let outcome = repo.set_target(section, path, 1, &[0; 32], None);
        assert!(matches!(outcome, Err(SignError::PathNotCovered { .. })), "{section:?} {path}: {outcome:?}");
    }
    let too_large = repo.set_target(Section::Targets, "floor", u64::MAX, &[0; 32], None);
    assert!(too_large.is_ok(), "the limit is that of canonical JSON, at the write");
    assert!(matches!(repo.write(&role_keys(), NOW), Err(SignError::Json { .. })));
}

#[test]
fn keys_are_rotated_from_every_role() {
    for (seed, role) in (60..).zip(RoleName::ALL) {
        let mut keys = role_keys();
        let mut repo = repository(&keys);
        let mut server = repo.write(&keys, NOW).unwrap();
        let (_, trusted) = follow(&server, TrustedFiles::from_root(server["1.root.json"].clone()), "floor");

        assert!(matches!(
            repo.set_signers(role, &[key(seed).public()], 2),
            Err(SignError::BadThreshold { .. })
        ));
        assert!(matches!(repo.set_signers(role, &[], 0), Err(SignError::BadThreshold { .. })));
        repo.set_signers(role, &[key(seed).public(), key(seed + 100).public()], 2).unwrap();
        let outcome = repo.write(&keys, NOW);
        assert!(matches!(outcome, Err(SignError::NotEnoughKeys { needed: 2, found: 0, .. })), "{role:?}");
        keys.of_mut(role).extend([key(seed), key(seed + 100)]);
        server.extend(repo.write(&keys, NOW).unwrap());
        let (found, trusted) = follow(&server, trusted, "pins/lab.json");
        assert!(found, "{role:?}");

        // From now on without the old key, which is in no table any more.
        let old = keys.of_mut(role).remove(0).public().id();
        let text =
            server.iter().filter(|(name, _)| name.starts_with("2.root") || name.starts_with("2.targets"));
        for (name, file) in text {
            let signed = signing::parse(file, 1 << 20).unwrap().get("signed").unwrap().clone();
            assert!(!String::from_utf8(signed.canonical()).unwrap().contains(old.as_str()), "{name}");
        }
        repo.renew(role);
        server.extend(repo.write(&keys, NOW).unwrap());
        assert!(follow(&server, trusted, "images/ha@1.json").0, "{role:?}");
    }
}

#[test]
fn unknown_fields_survive_a_rewrite() {
    let mut site = crate::site::Site::new();
    *site.field("pins", &["x-note"]) = "kept".into();
    *site.field("pins", &["targets", "pins/lab.json", "x-note"]) = "kept".into();
    site.put("pins");
    site.relist();
    let mut repo = Repository::load(site.synced(), Lifetimes::default()).unwrap();
    repo.renew(RoleName::Pins);
    let files = repo.write(&site.keys, NOW).unwrap();
    let pins = signing::parse(&files["2.pins.json"], 1 << 20).unwrap();
    let signed = pins.get("signed").unwrap();
    assert_eq!(signed.get("x-note").and_then(Value::as_str), Some("kept"));
    let target = signed.get("targets").unwrap().get("pins/lab.json").unwrap();
    assert_eq!(target.get("x-note").and_then(Value::as_str), Some("kept"));
}

#[test]
fn files_that_do_not_verify_are_not_loaded() {
    let keys = role_keys();
    let mut repo = repository(&keys);
    repo.write(&keys, NOW).unwrap();
    let mut files = repo.files().clone();
    files.delegated.remove("releases");
    assert!(matches!(Repository::load(files.clone(), Lifetimes::default()), Err(SignError::Trust(_))));
    files.root = b"{}".to_vec();
    assert!(matches!(Repository::load(files, Lifetimes::default()), Err(SignError::Trust(_))));
}

//! Snapshot and timestamp, signed by a server that holds no other key.

use signing::online::{OnlineKeys, OnlineLifetimes, OnlineRole, Versions};
use signing::repo::{Lifetimes, Repository, RoleName, Section, SignError};
use signing::{Client, TrustError, TrustedFiles, UnixTime};

use crate::site::{NOW, key, repository, role_keys};

const LIVES: OnlineLifetimes = OnlineLifetimes { snapshot: 7 * 86_400, timestamp: 86_400 };

fn published() -> (TrustedFiles, OnlineKeys) {
    let keys = role_keys();
    let mut repo = repository(&keys);
    repo.write(&keys, NOW).unwrap();
    (repo.files().clone(), keys.online())
}

fn versions(files: &TrustedFiles) -> (u64, u64) {
    let client = Client::offline(files.clone()).unwrap();
    (client.snapshot().unwrap().version, client.timestamp().unwrap().version)
}

#[test]
fn a_role_signed_elsewhere_is_listed() {
    let (files, online) = published();
    let mut admin = Repository::load(files.clone(), Lifetimes::default()).unwrap();
    admin.set_target(Section::Pins, "pins/new.json", 1, &[1; 32], None).unwrap();
    let mut proposal = admin.propose(NOW).unwrap();
    proposal.sign(&admin, RoleName::Pins, &role_keys().pins[0]).unwrap();
    admin.accept(&proposal).unwrap();

    let mut offline = files;
    offline.delegated.insert("pins".into(), admin.accepted()["2.pins.json"].clone());
    let later = NOW.plus_days(3);
    let next = online.complete(&offline, Versions::default(), LIVES, later).unwrap();
    let client = Client::offline(next.clone()).unwrap();
    assert_eq!(client.role("pins").unwrap().version, 2);
    assert_eq!(versions(&next), (2, 2));
    assert_eq!(client.snapshot().unwrap().expires, later.plus_days(7));
    assert_eq!(client.timestamp().unwrap().expires, later.plus_days(1));
}

#[test]
fn versions_go_on_from_the_highest_that_anybody_has() {
    let (files, online) = published();
    let above = Versions { snapshot: 40, timestamp: 90 };
    let next = online.complete(&files, above, LIVES, NOW).unwrap();
    assert_eq!(versions(&next), (41, 91));
    let next = online.complete(&next, Versions { snapshot: 3, timestamp: 4 }, LIVES, NOW).unwrap();
    assert_eq!(versions(&next), (42, 92));
    let last = Versions { snapshot: i64::MAX.unsigned_abs(), timestamp: 0 };
    let outcome = online.complete(&next, last, LIVES, NOW);
    assert!(matches!(&outcome, Err(SignError::LastVersion { role }) if role == "snapshot"), "{outcome:?}");
}

#[test]
fn a_renewed_timestamp_names_the_same_snapshot() {
    let (files, online) = published();
    let next = online.renew_timestamp(&files, LIVES, UnixTime(NOW.0 + 3600)).unwrap();
    assert_eq!(versions(&next), (1, 2));
    assert_eq!(next.snapshot, files.snapshot);
    let client = Client::offline(next).unwrap();
    assert_eq!(client.timestamp().unwrap().expires, UnixTime(NOW.0 + 3600 + 86_400));
    let none = TrustedFiles { timestamp: None, ..files };
    let outcome = online.renew_timestamp(&none, LIVES, NOW);
    assert!(matches!(outcome, Err(SignError::Trust(TrustError::Missing { .. }))), "{outcome:?}");
}

#[test]
fn keys_that_the_root_does_not_list_sign_nothing() {
    let (files, own) = published();
    let stranger = OnlineKeys::generate().unwrap();
    for outcome in [
        stranger.complete(&files, Versions::default(), LIVES, NOW).map(drop),
        stranger.check(Client::offline(files.clone()).unwrap().root()),
    ] {
        assert!(
            matches!(&outcome, Err(SignError::NotEnoughKeys { role, needed: 1, found: 0 }) if role == "snapshot"),
            "{outcome:?}"
        );
    }
    own.check(Client::offline(files).unwrap().root()).unwrap();
}

/// What others signed wrongly is not listed: clients would stop at it.
#[test]
fn a_role_that_does_not_verify_is_not_listed() {
    let (files, online) = published();
    let mut forged = files.clone();
    let text = String::from_utf8(forged.delegated["pins"].clone()).unwrap();
    forged.delegated.insert("pins".into(), text.replace("pins/lab.json", "pins/bad.json").into_bytes());
    let outcome = online.complete(&forged, Versions::default(), LIVES, NOW);
    assert!(matches!(outcome, Err(SignError::Trust(TrustError::Threshold { .. }))), "{outcome:?}");
}

/// While a key is rotated the server has both; the root says which one signs.
#[test]
fn the_key_that_the_root_lists_signs() {
    let keys = role_keys();
    let mut repo = repository(&keys);
    repo.write(&keys, NOW).unwrap();
    let mut online = keys.online();
    online.add(OnlineRole::Timestamp, key(77));
    assert_eq!(online.public(OnlineRole::Timestamp).len(), 2);
    let before = online.renew_timestamp(repo.files(), LIVES, NOW).unwrap();
    repo.set_signers(RoleName::Timestamp, &[key(77).public()], 1).unwrap();
    let mut proposal = repo.propose(NOW).unwrap();
    proposal.sign(&repo, RoleName::Root, &keys.root[0]).unwrap();
    repo.accept(&proposal).unwrap();
    let files = TrustedFiles { root: repo.accepted()["2.root.json"].clone(), ..before };
    let next = online.complete(&files, Versions::default(), LIVES, NOW).unwrap();
    assert_eq!(versions(&next), (2, 3));
}

#[test]
fn pems_round_trip_and_nothing_shows_a_secret() {
    let keys = OnlineKeys::generate().unwrap();
    let mut read = OnlineKeys::default();
    assert!(read.is_empty());
    for role in OnlineRole::ALL {
        for pem in keys.to_pems(role).unwrap() {
            read.add_pem(role, &pem).unwrap();
            let body: String = pem.lines().nth(1).unwrap().chars().skip(20).collect();
            assert!(!format!("{keys:?}").contains(&body));
        }
        assert_eq!(read.public(role), keys.public(role));
    }
    assert!(read.add_pem(OnlineRole::Snapshot, "hello").is_err());
}

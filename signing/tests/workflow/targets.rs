//! The top-level targets, and feeding a client in general.

use signing::{Find, TrustError, TrustedFiles, UnixTime, Value};

use crate::site::{NOW, Site, key};

fn refused_after_snapshot(site: &mut Site, trusted: &TrustedFiles) -> TrustError {
    let mut client = site.client_with(trusted);
    let error = site.refresh(&mut client).unwrap_err();
    let version = site.version("snapshot");
    let snapshot = site.files.get(&format!("{version}.snapshot.json")).cloned();
    let timestamp = site.files.get("timestamp.json").cloned();
    assert_eq!(client.trusted(), &TrustedFiles { timestamp, snapshot, ..trusted.clone() }, "on {error}");
    assert_eq!(client.find("floor"), Err(TrustError::NotRefreshed));
    assert_eq!(client.top_level_target("floor"), None);
    error
}

#[test]
fn other_version_than_listed_is_mix_and_match() {
    let mut site = Site::new();
    let trusted = site.synced();
    let file = site.files["1.targets.json"].clone();
    *site.field("targets", &["version"]) = 2.into();
    site.files.insert("2.targets.json".into(), file);
    site.relist();
    let error = refused_after_snapshot(&mut site, &trusted);
    assert_eq!(
        error,
        TrustError::MixAndMatch { role: "targets".into(), listed_in: "snapshot", expected: 2, found: 1 }
    );
}

#[test]
fn bytes_signatures_and_expiry_are_checked() {
    let mut site = Site::new();
    let trusted = site.synced();
    site.bump("targets");
    site.put("targets");
    site.relist();
    let good = site.files["2.targets.json"].clone();
    let mut flipped = good.clone();
    flipped[40] ^= 1;
    site.files.insert("2.targets.json".into(), flipped);
    assert!(matches!(refused_after_snapshot(&mut site, &trusted), TrustError::HashMismatch { .. }));
    site.files.remove("2.targets.json");
    let error = TrustError::Missing { file: "2.targets.json".into() };
    assert_eq!(refused_after_snapshot(&mut site, &trusted), error);

    site.put_signed("targets", &[&key(3)]);
    site.relist();
    let error = TrustError::Threshold { role: "targets".into(), needed: 1, valid: 0 };
    assert_eq!(refused_after_snapshot(&mut site, &trusted), error);

    let expired = UnixTime(NOW.0 - 1);
    *site.field("targets", &["expires"]) = Value::String(expired.to_string());
    site.put("targets");
    site.relist();
    let error = TrustError::Expired { role: "targets".into(), expired, now: NOW };
    assert_eq!(refused_after_snapshot(&mut site, &trusted), error);
}

#[test]
fn floor_is_read_without_any_delegation() {
    let mut site = Site::new();
    let mut client = site.client();
    assert_eq!(client.top_level_target("floor"), None);
    site.refresh(&mut client).unwrap();
    let floor = client.top_level_target("floor").unwrap();
    assert_eq!((floor.length, floor.sha256().unwrap()), (0, [3; 32]));
    let floors = floor.custom.as_ref().and_then(|custom| custom.get("bascule")?.get("floors")?.get("ha"));
    assert_eq!(floors.and_then(Value::as_u64), Some(3));
    assert_eq!(client.top_level_target("images/ha@1.json"), None);
}

#[test]
fn only_the_file_asked_for_can_be_fed() {
    let mut site = Site::new();
    let mut client = site.client();
    let wrong = |expected: &str, found: &str| {
        Err(TrustError::UnexpectedFile { expected: expected.into(), found: found.into() })
    };
    assert_eq!(client.feed("timestamp.json", None), wrong("2.root.json", "timestamp.json"));
    site.refresh(&mut client).unwrap();
    assert_eq!(client.feed("timestamp.json", None), wrong("nothing", "timestamp.json"));
    let Find::Fetch(wanted) = client.find("pins/lab.json").unwrap() else { panic!() };
    assert_eq!(wanted.name, "1.pins.json");
    assert_eq!(wanted.max_len, site.files["1.pins.json"].len() as u64);
    assert_eq!(client.feed("1.releases.json", None), wrong("1.pins.json", "1.releases.json"));
    assert_eq!(client.feed("1.pins.json", None), Err(TrustError::Missing { file: "1.pins.json".into() }));
    client.feed("1.pins.json", Some(&site.files["1.pins.json"])).unwrap();
    assert!(matches!(client.find("pins/lab.json"), Ok(Find::Found(_))));
}

#[test]
fn refused_file_may_be_fed_again_from_elsewhere() {
    let mut site = Site::new();
    let mut client = site.client();
    client.feed("2.root.json", None).unwrap();
    assert!(client.feed("timestamp.json", Some(b"{}")).is_err());
    let wanted = client.next().unwrap().unwrap();
    assert_eq!(wanted.name, "timestamp.json");
    client.feed("timestamp.json", Some(&site.files["timestamp.json"])).unwrap();
    site.refresh(&mut client).unwrap();
}

/// A target may be listed with SHA-512 alone; who needs the SHA-256 is told so.
#[test]
fn either_hash_is_enough_and_every_known_one_counts() {
    use sha2::{Digest, Sha256, Sha512};
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (sha256, sha512) = (hex(&Sha256::digest(b"content")), hex(&Sha512::digest(b"content")));
    let look_up = |hashes: &[(&str, &str)]| {
        let mut site = Site::new();
        let hashes = hashes.iter().map(|(kind, hash)| ((*kind).to_owned(), Value::from(*hash))).collect();
        *site.field("targets", &["targets", "x", "hashes"]) = Value::Object(hashes);
        *site.field("targets", &["targets", "x", "length"]) = 7.into();
        site.bump("targets");
        site.put("targets");
        site.relist();
        let mut client = site.client();
        site.refresh(&mut client).unwrap();
        site.find(&mut client, "x").map(Option::unwrap)
    };
    let only_512 = look_up(&[("sha512", &sha512)]).unwrap();
    assert_eq!(only_512.sha256(), Err(TrustError::UnknownHash { what: "target x".into() }));
    assert_eq!((only_512.hashes.get("sha512"), only_512.hashes.get("sha256")), (Some(sha512.as_str()), None));
    assert!(only_512.matches(b"content"));
    assert!(!only_512.matches(b"Content") && !only_512.matches(b"content "));

    let both = look_up(&[("sha256", &sha256), ("sha512", &sha512), ("md5", "?")]).unwrap();
    assert_eq!(hex(&both.sha256().unwrap()), sha256);
    assert!(both.matches(b"content"));
    let contradiction = look_up(&[("sha256", &sha256), ("sha512", &"00".repeat(64))]).unwrap();
    assert!(!contradiction.matches(b"content"));

    for unknown in [("md5", "00"), ("sha256", "00"), ("sha512", sha256.as_str()), ("sha256", sha512.as_str())]
    {
        let error = look_up(&[unknown]).unwrap_err();
        assert_eq!(error, TrustError::UnknownHash { what: "target x".into() }, "{unknown:?}");
    }
}

/// Half a refresh shows nothing: what it has so far may be of two repositories.
#[test]
fn nothing_is_shown_before_the_refresh_is_complete() {
    let mut site = Site::new();
    let trusted = site.synced();
    let files = site.files.clone();
    for start in [TrustedFiles::from_root(site.first_root.clone()), trusted] {
        let mut client = site.client_with(&start);
        while let Some(wanted) = client.next().unwrap() {
            assert!(client.timestamp().is_none() && client.snapshot().is_none(), "before {}", wanted.name);
            assert!(client.role("targets").is_none() && client.role("releases").is_none());
            assert!(client.top_level_target("floor").is_none() && client.proof().is_none());
            assert_eq!(client.find("floor"), Err(TrustError::NotRefreshed));
            assert_eq!(client.next_delegated(), Err(TrustError::NotRefreshed));
            assert_eq!(client.targets_of("targets"), Err(TrustError::NotRefreshed));
            assert_eq!(client.root().version, 1);
            client.feed(&wanted.name, files.get(&wanted.name).map(Vec::as_slice)).unwrap();
        }
        assert_eq!(client.timestamp().unwrap().version, 1);
        assert_eq!(client.snapshot().unwrap().version, 1);
        assert_eq!(client.role("targets").unwrap().version, 1);
        assert!(client.role("releases").is_none() && client.role("nobody").is_none(), "not looked at yet");
        assert!(client.proof().unwrap().delegated.is_empty());
        assert!(client.targets_of("releases").unwrap().is_empty());
        assert_eq!(client.targets_of("targets").unwrap().len(), 1);
    }
}

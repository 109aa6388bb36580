//! Root: the chain of versions, old and new keys, freeze.

use signing::metadata::Signers;
use signing::{Client, JsonError, KeyError, TrustError, TrustedFiles, Value, json};

use crate::site::{NOW, Site, key};

/// Version 2 of the root is for key 50 instead of key 1.
fn with_new_root_key() -> Site {
    let mut site = Site::new();
    let new = key(50).public();
    *site.field("root", &["keys", new.id().as_str()]) = json::to_value(&new.to_key()).unwrap();
    *site.field("root", &["roles", "root"]) = json::to_value(&Signers::new(&[new], 1)).unwrap();
    site.bump("root");
    site
}

#[test]
fn signed_by_old_and_new_keys_is_accepted() {
    let mut site = with_new_root_key();
    site.put_signed("root", &[&key(1), &key(50)]);
    let mut client = site.client();
    site.refresh(&mut client).unwrap();
    assert_eq!(client.root().version, 2);
    assert_eq!(client.trusted().root, site.files["2.root.json"]);
    assert_eq!(
        site.requests,
        ["2.root.json", "3.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]
    );
}

#[test]
fn signed_by_only_one_side_is_an_arbitrary_software_attack() {
    for signer in [1, 50] {
        let mut site = with_new_root_key();
        let trusted = site.synced();
        site.put_signed("root", &[&key(signer)]);
        let error = TrustError::Threshold { role: "root".into(), needed: 1, valid: 0 };
        assert_eq!(site.refused(&trusted), error, "signed by {signer}");
        site.put_signed("root", &[&key(50), &key(1)]);
        let mut client = site.client_with(&trusted);
        site.refresh(&mut client).unwrap();
    }
}

#[test]
fn other_version_than_the_next_is_refused() {
    for found in [1_u64, 3] {
        let mut site = Site::new();
        let trusted = site.synced();
        *site.field("root", &["version"]) = i64::try_from(found).unwrap().into();
        site.put("root");
        let file = site.files[&format!("{found}.root.json")].clone();
        site.files.insert("2.root.json".into(), file);
        assert_eq!(site.refused(&trusted), TrustError::RootVersion { expected: 2, found });
    }
}

#[test]
fn chain_without_end_is_cut() {
    let mut site = Site::new();
    for _ in 0..1_025 {
        site.bump("root");
        site.put("root");
    }
    let mut client = site.client();
    assert_eq!(site.refresh(&mut client), Err(TrustError::TooManyRotations { limit: 1_024 }));
    assert_eq!(site.requests.len(), 1_024);
    // What was verified is kept, so the next attempt gets on.
    let mut client = site.client_with(&client.trusted().clone());
    site.refresh(&mut client).unwrap();
    assert_eq!(client.root().version, 1_026);
}

#[test]
fn expired_newest_root_is_kept_but_freezes_the_rest() {
    let mut site = Site::new();
    let trusted = site.synced();
    *site.field("root", &["expires"]) = Value::String(NOW.to_string());
    site.bump("root");
    site.put("root");
    let mut client = site.client_with(&trusted);
    let error = TrustError::Expired { role: "root".into(), expired: NOW, now: NOW };
    assert_eq!(site.refresh(&mut client), Err(error.clone()));
    assert_eq!(
        client.trusted(),
        &TrustedFiles { root: site.files["2.root.json"].clone(), ..trusted.clone() }
    );
    assert_eq!(site.requests, ["2.root.json", "3.root.json"]);
    assert!(error.to_string().contains("freeze attack"), "{error}");

    // An expired root in the middle of the chain does not matter.
    *site.field("root", &["expires"]) = "2099-01-01T00:00:00Z".into();
    site.bump("root");
    site.put("root");
    let mut client = site.client_with(&trusted);
    site.refresh(&mut client).unwrap();
    assert_eq!(client.root().version, 3);
}

#[test]
fn unusable_first_root_stops_before_any_request() {
    let site = Site::new();
    let broken = |change: &dyn Fn(&mut Site)| {
        let mut site = Site::new();
        change(&mut site);
        site.put("root");
        Client::new(TrustedFiles::from_root(site.files.remove("1.root.json").unwrap()), NOW).unwrap_err()
    };
    let mut forged = Site::new();
    forged.put_signed("root", &[&key(99)]);
    let error = Client::new(TrustedFiles::from_root(forged.files["1.root.json"].clone()), NOW).unwrap_err();
    assert_eq!(error, TrustError::Threshold { role: "root".into(), needed: 1, valid: 0 });

    let error = Client::new(TrustedFiles::default(), NOW).unwrap_err();
    assert!(matches!(error, TrustError::Json { source: JsonError::Syntax(_), .. }), "{error:?}");

    let error = Client::new(TrustedFiles::from_root(site.files["1.targets.json"].clone()), NOW).unwrap_err();
    assert!(matches!(error, TrustError::WrongType { expected: "root", .. }), "{error:?}");

    let error = broken(&|site| *site.field("root", &["spec_version"]) = "2.0.0".into());
    assert_eq!(error, TrustError::SpecVersion { role: "root".into(), found: "2.0.0".into() });

    for threshold in [0, -1, i64::MAX] {
        let error =
            broken(&|site| *site.field("root", &["roles", "timestamp", "threshold"]) = threshold.into());
        assert!(
            matches!(error, TrustError::Json { source: JsonError::Shape(_), .. }),
            "{threshold}: {error:?}"
        );
    }
    let large = vec![b' '; 600 * 1024];
    let error = Client::new(TrustedFiles::from_root(large), NOW).unwrap_err();
    assert_eq!(error, TrustError::EndlessData { role: "root".into(), limit: 524_288, found: 614_400 });
}

#[test]
fn weak_and_mislabelled_keys_are_refused_at_load() {
    let with_key = |keyid: Option<&str>, public: &str| {
        let mut site = Site::new();
        let key = Value::from([
            ("keytype", "ed25519".into()),
            ("scheme", "ed25519".into()),
            ("keyval", Value::from([("public", public.into())])),
        ]);
        let computed: signing::key::Key = json::from_value(&key).unwrap();
        let keyid = keyid.map_or(computed.id().to_string(), str::to_owned);
        *site.field("root", &["keys", &keyid]) = key;
        site.put("root");
        match Client::new(TrustedFiles::from_root(site.files["1.root.json"].clone()), NOW) {
            Err(TrustError::Key { source, .. }) => source,
            other => panic!("{other:?}"),
        }
    };
    let identity = format!("01{}", "00".repeat(31));
    assert_eq!(with_key(None, &identity), KeyError::Weak(identity.clone()));
    assert!(matches!(with_key(None, &"00".repeat(32)), KeyError::Weak(_)));
    assert!(matches!(with_key(None, &"AB".repeat(32)), KeyError::Malformed(_)));
    assert!(matches!(with_key(None, "abcd"), KeyError::Malformed(_)));
    let good = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert!(matches!(with_key(Some(&"0".repeat(64)), good), KeyError::WrongId { .. }));
}

#[test]
fn key_listed_twice_for_a_role_is_refused() {
    let mut site = Site::new();
    let trusted = site.synced();
    let Value::Array(keyids) = site.field("root", &["roles", "snapshot", "keyids"]) else { panic!() };
    let again = keyids[0].clone();
    keyids.push(again);
    site.bump("root");
    site.put("root");
    assert!(matches!(site.refused(&trusted), TrustError::Malformed { .. }));
}

#[test]
fn keys_of_other_types_may_stand_there_but_never_count() {
    let mut site = Site::new();
    let other = Value::from([
        ("keytype", "ecdsa".into()),
        ("scheme", "ecdsa-sha2-nistp256".into()),
        ("keyval", Value::from([("public", "-----BEGIN PUBLIC KEY-----\n".into())])),
    ]);
    let key: signing::key::Key = json::from_value(&other).unwrap();
    *site.field("root", &["keys", key.id().as_str()]) = other;
    let Value::Array(keyids) = site.field("root", &["roles", "timestamp", "keyids"]) else { panic!() };
    keyids.push(key.id().as_str().into());
    site.bump("root");
    site.put("root");
    let mut client = site.client();
    site.refresh(&mut client).unwrap();
    *site.field("root", &["roles", "timestamp", "threshold"]) = 2.into();
    site.bump("root");
    site.put("root");
    let mut client = site.client();
    let error = TrustError::Threshold { role: "timestamp".into(), needed: 2, valid: 1 };
    assert_eq!(site.refresh(&mut client), Err(error));
}

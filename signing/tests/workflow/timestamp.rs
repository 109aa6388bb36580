//! Timestamp: rollback, freeze, signatures; and fast-forward recovery.

use signing::metadata::Signers;
use signing::{JsonError, TrustError, TrustedFiles, UnixTime, Value, json};

use crate::site::{NOW, Site, copy, key};

#[test]
fn equal_version_asks_for_nothing_more() {
    let mut site = Site::new();
    let trusted = site.synced();
    let mut client = site.client_with(&trusted);
    site.refresh(&mut client).unwrap();
    assert_eq!(site.requests, ["2.root.json", "timestamp.json"]);
    assert_eq!(client.trusted(), &trusted);
    assert!(site.find(&mut client, "images/ha@1.json").unwrap().is_some());
    assert_eq!(site.requests.len(), 2, "the stored delegated role still fits");
}

#[test]
fn equal_version_with_other_content_is_not_taken() {
    let mut site = Site::new();
    let trusted = site.synced();
    *site.field("timestamp", &["x"]) = 1.into();
    site.put("timestamp");
    let mut client = site.client_with(&trusted);
    site.refresh(&mut client).unwrap();
    assert_eq!(client.trusted(), &trusted);
}

#[test]
fn lower_version_is_a_rollback() {
    let mut site = Site::new();
    site.list_snapshot();
    let trusted = site.synced();
    *site.field("timestamp", &["version"]) = 1.into();
    site.put("timestamp");
    assert_eq!(
        site.refused(&trusted),
        TrustError::Rollback { role: "timestamp".into(), trusted: 2, found: 1 }
    );
}

#[test]
fn lower_snapshot_version_is_a_rollback_and_not_persisted() {
    let mut site = Site::new();
    site.relist();
    let trusted = site.synced();
    *site.field("snapshot", &["version"]) = 1.into();
    site.list_snapshot();
    let error = TrustError::Rollback { role: "snapshot".into(), trusted: 2, found: 1 };
    assert_eq!(site.refused(&trusted), error);
    assert_eq!(site.requests, ["2.root.json", "timestamp.json"], "no snapshot was asked for");
}

#[test]
fn expiry_is_strict_and_counts_for_a_replayed_timestamp_too() {
    let mut site = Site::new();
    let trusted = site.synced();
    for (expired, accepted) in [(NOW.0 - 1, false), (NOW.0, false), (NOW.0 + 1, true)] {
        *site.field("timestamp", &["expires"]) = Value::String(UnixTime(expired).to_string());
        site.bump("timestamp");
        site.put("timestamp");
        let mut client = site.client_with(&trusted);
        let outcome = site.refresh(&mut client);
        if accepted {
            outcome.unwrap();
        } else {
            let expired = UnixTime(expired);
            assert_eq!(outcome, Err(TrustError::Expired { role: "timestamp".into(), expired, now: NOW }));
            assert_eq!(client.trusted(), &trusted);
        }
    }
    // A day-old timestamp served for ever: equal version, and one day it has expired.
    let later = NOW.plus_days(31);
    let mut client = signing::Client::new(trusted.clone(), later).unwrap();
    let files = Site::new().files;
    let fetch = |wanted: &signing::Fetch| Ok::<_, ()>(files.get(&wanted.name).cloned());
    let outcome = signing::refresh(&mut client, fetch);
    assert!(
        matches!(outcome, Err(signing::RefreshError::Trust(TrustError::Expired { ref role, .. })) if role == "timestamp"),
        "{outcome:?}"
    );
}

#[test]
fn signed_snapshot_is_not_a_timestamp() {
    let mut site = Site::new();
    let trusted = site.synced();
    let snapshot = site.content["snapshot"].clone();
    site.content.insert("timestamp".into(), snapshot);
    site.put("timestamp");
    let error =
        TrustError::WrongType { role: "timestamp".into(), expected: "timestamp", found: "snapshot".into() };
    assert_eq!(site.refused(&trusted), error);
}

#[test]
fn key_of_another_role_does_not_count() {
    let mut site = Site::new();
    let trusted = site.synced();
    site.bump("timestamp");
    let snapshot_key = copy(&site.keys.snapshot[0]);
    site.put_signed("timestamp", &[&snapshot_key]);
    assert_eq!(
        site.refused(&trusted),
        TrustError::Threshold { role: "timestamp".into(), needed: 1, valid: 0 }
    );
}

/// The signatures of timestamp.json as the server has it.
fn edit_signatures(site: &mut Site, edit: impl FnOnce(&mut Vec<Value>)) {
    let mut file = signing::parse(&site.files["timestamp.json"], 1 << 20).unwrap();
    let Value::Object(members) = &mut file else { panic!() };
    let Some(Value::Array(signatures)) = members.get_mut("signatures") else { panic!() };
    edit(signatures);
    site.files.insert("timestamp.json".into(), serde_json::to_vec(&file).unwrap());
}

#[test]
fn signature_listed_twice_is_refused_even_when_one_would_do() {
    let mut site = Site::new();
    let trusted = site.synced();
    site.bump("timestamp");
    site.put("timestamp");
    edit_signatures(&mut site, |signatures| signatures.push(signatures[0].clone()));
    let keyid = key(6).public().id().to_string();
    assert_eq!(site.refused(&trusted), TrustError::DuplicateSignature { role: "timestamp".into(), keyid });
}

#[test]
fn garbage_beside_a_good_signature_is_passed_over() {
    for garbage in ["", "zz", "00", &"00".repeat(64), &"AB".repeat(64), &"0".repeat(127), &"a".repeat(10_000)]
    {
        for keyid in [key(50).public().id().to_string(), "?".to_owned(), String::new()] {
            let mut site = Site::new();
            edit_signatures(&mut site, |signatures| {
                signatures
                    .insert(0, Value::from([("keyid", keyid.as_str().into()), ("sig", garbage.into())]));
            });
            let mut client = site.client();
            site.refresh(&mut client).unwrap();
        }
    }
    let mut site = Site::new();
    edit_signatures(&mut site, |signatures| {
        signatures.push(Value::from([("keyid", "?".into()), ("sig", Value::String("0".repeat(10_000_000)))]));
    });
    let mut client = site.client();
    assert!(matches!(site.refresh(&mut client), Err(TrustError::EndlessData { limit: 16_384, .. })));
}

#[test]
fn one_spelling_of_a_signature() {
    type Respell = fn(&str) -> String;
    let respell: [Respell; 4] =
        [str::to_uppercase, |sig| format!("{sig}00"), |sig| sig[2..].to_owned(), |sig| format!("{sig}0")];
    for respell in respell {
        let mut site = Site::new();
        edit_signatures(&mut site, |signatures| {
            let Value::Object(members) = &mut signatures[0] else { panic!() };
            let sig = respell(members["sig"].as_str().unwrap());
            members.insert("sig".into(), Value::String(sig));
        });
        let mut client = site.client();
        let error = TrustError::Threshold { role: "timestamp".into(), needed: 1, valid: 0 };
        assert_eq!(site.refresh(&mut client), Err(error));
    }
}

#[test]
fn respelled_content_is_the_same_content_and_is_stored_as_received() {
    let mut site = Site::new();
    let file = signing::parse(&site.files["timestamp.json"], 1 << 20).unwrap();
    let respelled = serde_json::to_string(&file).unwrap().replacen("timestamp", "\\u0074imestamp", 1);
    site.files.insert("timestamp.json".into(), format!("\n {respelled}\t").into_bytes());
    let mut client = site.client();
    site.refresh(&mut client).unwrap();
    assert_eq!(client.trusted().timestamp.as_ref(), Some(&site.files["timestamp.json"]));
}

#[test]
fn unknown_fields_are_covered_by_the_signature() {
    let mut site = Site::new();
    *site.field("timestamp", &["x-note", "deep"]) = "unknown".into();
    site.bump("timestamp");
    site.put("timestamp");
    let mut client = site.client();
    site.refresh(&mut client).unwrap();
    let changed =
        String::from_utf8(site.files["timestamp.json"].clone()).unwrap().replace("unknown", "Unknown");
    site.files.insert("timestamp.json".into(), changed.into_bytes());
    let mut client = site.client();
    assert!(matches!(site.refresh(&mut client), Err(TrustError::Threshold { valid: 0, .. })));
}

#[test]
fn numbers_and_nesting_are_refused_by_name() {
    let with = |from: &str, to: &str| {
        let mut site = Site::new();
        let text = String::from_utf8(site.files["timestamp.json"].clone()).unwrap();
        assert!(text.contains(from), "{text}");
        site.files.insert("timestamp.json".into(), text.replacen(from, to, 1).into_bytes());
        let mut client = site.client();
        match site.refresh(&mut client) {
            Err(TrustError::Json { source, .. }) => source,
            other => panic!("{from}: {other:?}"),
        }
    };
    for number in ["1.0", "1e3", "18446744073709551616"] {
        assert!(matches!(
            with("\"version\": 1", &format!("\"version\": {number}")),
            JsonError::NotAnInteger(_)
        ));
    }
    let nested = format!("\"x\":{}{},\"version\": 1", "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(with("\"version\": 1", &nested), JsonError::TooDeep(32));
    assert_eq!(
        with("\"version\": 1", "\"version\": 1, \"version\": 1"),
        JsonError::DuplicateKey("version".into())
    );

    // Correctly signed, but not a version.
    for number in [0, -1] {
        let mut site = Site::new();
        *site.field("timestamp", &["version"]) = number.into();
        site.put("timestamp");
        let mut client = site.client();
        let outcome = site.refresh(&mut client);
        assert!(matches!(outcome, Err(TrustError::Json { source: JsonError::Shape(_), .. })), "{outcome:?}");
    }
}

#[test]
fn missing_timestamp_or_listing_is_named() {
    let mut site = Site::new();
    let trusted = site.synced();
    let file = site.files.remove("timestamp.json").unwrap();
    assert_eq!(site.refused(&trusted), TrustError::Missing { file: "timestamp.json".into() });
    site.files.insert("timestamp.json".into(), file);
    *site.field("timestamp", &["meta"]) = Value::from([]);
    site.bump("timestamp");
    site.put("timestamp");
    assert!(matches!(site.refused(&trusted), TrustError::Json { source: JsonError::Shape(_), .. }));
}

/// Someone with the online keys signed huge versions; new keys in a new root must be enough to recover.
#[test]
fn rotated_keys_recover_from_a_fast_forward() {
    for (role, seed) in [("timestamp", 60), ("snapshot", 61)] {
        let mut site = Site::new();
        *site.field("snapshot", &["version"]) = 1_000_000.into();
        *site.field("timestamp", &["version"]) = 1_000_000.into();
        site.put("snapshot");
        site.list_snapshot();
        let trusted = site.synced();

        let new = key(seed).public();
        *site.field("root", &["keys", new.id().as_str()]) = json::to_value(&new.to_key()).unwrap();
        *site.field("root", &["roles", role]) = json::to_value(&Signers::new(&[new], 1)).unwrap();
        site.bump("root");
        site.put("root");
        match role {
            "timestamp" => site.keys.timestamp = vec![key(seed)],
            _ => site.keys.snapshot = vec![key(seed)],
        }
        *site.field("snapshot", &["version"]) = 1.into();
        site.put("snapshot");
        *site.field("timestamp", &["version"]) = 1.into();
        site.list_snapshot();
        let mut client = site.client_with(&trusted);
        site.refresh(&mut client).unwrap();
        assert_eq!(client.snapshot().unwrap().version, 1, "{role}");

        // The same when the power failed between the new root and the rest.
        let torn = TrustedFiles { root: site.files["2.root.json"].clone(), ..trusted };
        let mut client = site.client_with(&torn);
        site.refresh(&mut client).unwrap();
        assert_eq!(client.timestamp().unwrap().version, 2, "{role}");
    }
}

/// One of two keys was stolen and is revoked; what it signed together with the other one still verifies, but must not count.
#[test]
fn revoked_key_takes_its_versions_with_it() {
    for role in ["timestamp", "snapshot"] {
        let mut site = Site::new();
        let own = match role {
            "timestamp" => copy(&site.keys.timestamp[0]),
            _ => copy(&site.keys.snapshot[0]),
        };
        let (stolen, mine) = (key(60).public(), own.public());
        *site.field("root", &["keys", stolen.id().as_str()]) = json::to_value(&stolen.to_key()).unwrap();
        *site.field("root", &["roles", role]) = json::to_value(&Signers::new(&[stolen, mine], 1)).unwrap();
        site.bump("root");
        site.put("root");
        *site.field("snapshot", &["version"]) = 1_000_000.into();
        site.put("snapshot");
        if role == "snapshot" {
            site.put_signed("snapshot", &[&key(60), &own]);
        }
        *site.field("timestamp", &["version"]) = 1_000_000.into();
        site.list_snapshot();
        if role == "timestamp" {
            site.put_signed("timestamp", &[&key(60), &own]);
        }
        let trusted = site.synced();

        *site.field("root", &["roles", role]) = json::to_value(&Signers::new(&[mine], 1)).unwrap();
        site.bump("root");
        site.put("root");
        *site.field("snapshot", &["version"]) = 1.into();
        site.put("snapshot");
        *site.field("timestamp", &["version"]) = 1.into();
        site.list_snapshot();
        let mut client = site.client_with(&trusted);
        site.refresh(&mut client).unwrap();
        assert_eq!(client.snapshot().unwrap().version, 1, "{role}");
    }
}

#[test]
fn key_that_is_only_added_keeps_the_rollback_protection() {
    let mut site = Site::new();
    site.list_snapshot();
    let trusted = site.synced();
    let new = key(60).public();
    *site.field("root", &["keys", new.id().as_str()]) = json::to_value(&new.to_key()).unwrap();
    let both = Signers::new(&[new, key(6).public()], 1);
    *site.field("root", &["roles", "timestamp"]) = json::to_value(&both).unwrap();
    site.bump("root");
    site.put("root");
    *site.field("timestamp", &["version"]) = 1.into();
    site.put("timestamp");
    let mut client = site.client_with(&trusted);
    assert!(matches!(site.refresh(&mut client), Err(TrustError::Rollback { trusted: 2, found: 1, .. })));
}

//! Snapshot: hashes before signatures, mix-and-match, roles that vanish.

use signing::{TrustError, TrustedFiles, UnixTime, Value};

use crate::site::{NOW, Site, key};

/// Refreshes up to a refusal of the snapshot: the timestamp is trusted by then, nothing else has moved.
fn refused_after_timestamp(site: &mut Site, trusted: &TrustedFiles) -> TrustError {
    let mut client = site.client_with(trusted);
    let error = site.refresh(&mut client).unwrap_err();
    let timestamp = site.files.get("timestamp.json").cloned();
    assert_eq!(client.trusted(), &TrustedFiles { timestamp, ..trusted.clone() }, "on {error}");
    error
}

#[test]
fn other_bytes_are_refused_before_their_signatures() {
    let mut site = Site::new();
    let trusted = site.synced();
    site.relist();
    // Correctly signed, other content of the same length: only the hash can tell.
    let listed = site.files["2.snapshot.json"].clone();
    *site.field("snapshot", &["expires"]) = "2031-01-01T00:00:00Z".into();
    site.put("snapshot");
    assert_eq!(site.files["2.snapshot.json"].len(), listed.len());
    assert!(matches!(refused_after_timestamp(&mut site, &trusted), TrustError::HashMismatch { .. }));
    // Not even JSON.
    site.files.insert("2.snapshot.json".into(), vec![b'{'; listed.len()]);
    assert!(matches!(refused_after_timestamp(&mut site, &trusted), TrustError::HashMismatch { .. }));
    site.files.insert("2.snapshot.json".into(), listed[..listed.len() - 1].to_vec());
    let (expected, found) = (listed.len() as u64, listed.len() as u64 - 1);
    let error = TrustError::LengthMismatch { role: "snapshot".into(), expected, found };
    assert_eq!(refused_after_timestamp(&mut site, &trusted), error);
    site.files.insert("2.snapshot.json".into(), listed);
    let mut client = site.client_with(&trusted);
    site.refresh(&mut client).unwrap();
}

#[test]
fn other_version_than_listed_is_mix_and_match() {
    let mut site = Site::new();
    let trusted = site.synced();
    site.relist();
    *site.field("timestamp", &["meta", "snapshot.json", "version"]) = 3.into();
    site.bump("timestamp");
    site.put("timestamp");
    let file = site.files["2.snapshot.json"].clone();
    site.files.insert("3.snapshot.json".into(), file);
    let error =
        TrustError::MixAndMatch { role: "snapshot".into(), listed_in: "timestamp", expected: 3, found: 2 };
    assert_eq!(refused_after_timestamp(&mut site, &trusted), error);
}

#[test]
fn role_that_vanishes_is_a_rollback() {
    let mut site = Site::new();
    let trusted = site.synced();
    let Value::Object(meta) = site.field("snapshot", &["meta"]) else { panic!() };
    let pins = meta.remove("pins.json").unwrap();
    site.bump("snapshot");
    site.put("snapshot");
    site.list_snapshot();
    let error = refused_after_timestamp(&mut site, &trusted);
    assert_eq!(error, TrustError::Dropped { file: "pins.json".into() });
    *site.field("snapshot", &["meta", "pins.json"]) = pins;
    site.relist();
    let mut client = site.client_with(&trusted);
    site.refresh(&mut client).unwrap();
}

#[test]
fn role_whose_version_goes_down_is_a_rollback() {
    for role in ["targets", "pins"] {
        let mut site = Site::new();
        site.bump(role);
        site.put(role);
        site.relist();
        let trusted = site.synced();
        *site.field(role, &["version"]) = 1.into();
        site.put(role);
        site.relist();
        let error = TrustError::Rollback { role: role.into(), trusted: 2, found: 1 };
        assert_eq!(refused_after_timestamp(&mut site, &trusted), error);
    }
}

/// The timestamp was lost from the store, but the snapshot remembers.
#[test]
fn lower_version_than_a_stored_snapshot_is_a_rollback() {
    let mut site = Site::new();
    site.relist();
    let trusted = TrustedFiles { timestamp: None, ..site.synced() };
    *site.field("snapshot", &["version"]) = 1.into();
    site.put("snapshot");
    site.list_snapshot();
    let error = TrustError::Rollback { role: "snapshot".into(), trusted: 2, found: 1 };
    assert_eq!(refused_after_timestamp(&mut site, &trusted), error);
}

#[test]
fn threshold_counts_for_a_snapshot_with_the_right_hash() {
    let mut site = Site::new();
    let trusted = site.synced();
    site.bump("snapshot");
    site.put_signed("snapshot", &[&key(77), &key(6)]);
    site.list_snapshot();
    let error = TrustError::Threshold { role: "snapshot".into(), needed: 1, valid: 0 };
    assert_eq!(refused_after_timestamp(&mut site, &trusted), error);
}

#[test]
fn expired_snapshot_is_a_freeze() {
    let mut site = Site::new();
    let trusted = site.synced();
    let expired = UnixTime(NOW.0 - 1);
    *site.field("snapshot", &["expires"]) = Value::String(expired.to_string());
    site.relist();
    let error = TrustError::Expired { role: "snapshot".into(), expired, now: NOW };
    assert_eq!(refused_after_timestamp(&mut site, &trusted), error);
}

#[test]
fn missing_snapshot_leaves_the_timestamp_and_a_way_on() {
    let mut site = Site::new();
    let file = site.files.remove("1.snapshot.json").unwrap();
    let fresh = TrustedFiles::from_root(site.first_root.clone());
    let error = TrustError::Missing { file: "1.snapshot.json".into() };
    assert_eq!(refused_after_timestamp(&mut site, &fresh), error);
    site.files.insert("1.snapshot.json".into(), file);
    // Equal timestamp, but the snapshot is still needed.
    let with_timestamp = TrustedFiles { timestamp: Some(site.files["timestamp.json"].clone()), ..fresh };
    site.requests.clear();
    let mut client = site.client_with(&with_timestamp);
    site.refresh(&mut client).unwrap();
    assert_eq!(site.requests, ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]);
}

#[test]
fn length_beyond_the_limit_is_endless_data() {
    let mut site = Site::new();
    let trusted = site.synced();
    *site.field("timestamp", &["meta", "snapshot.json", "length"]) = (2 * 1024 * 1024 + 1).into();
    *site.field("timestamp", &["meta", "snapshot.json", "version"]) = 2.into();
    site.bump("timestamp");
    site.put("timestamp");
    let error = refused_after_timestamp(&mut site, &trusted);
    assert_eq!(
        error,
        TrustError::EndlessData { role: "snapshot".into(), limit: 2_097_152, found: 2_097_153 }
    );
    assert!(site.requests.iter().all(|name| name != "2.snapshot.json"));
}

#[test]
fn damaged_store_is_fetched_anew() {
    let mut site = Site::new();
    let trusted = site.synced();
    let damaged = TrustedFiles { snapshot: Some(b"{".to_vec()), ..trusted.clone() };
    let mut client = site.client_with(&damaged);
    site.refresh(&mut client).unwrap();
    assert_eq!(client.trusted(), &trusted);
    let damaged = TrustedFiles { targets: Some(b"{".to_vec()), ..trusted.clone() };
    let mut client = site.client_with(&damaged);
    site.refresh(&mut client).unwrap();
    assert_eq!(client.trusted(), &trusted);
}

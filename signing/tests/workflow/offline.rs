//! Stored files against each other: what lets a verified slot boot without a network.

use signing::{Client, Find, TrustError, TrustedFiles};

use crate::site::Site;

#[test]
fn complete_store_verifies_whatever_the_time() {
    let trusted = Site::new().synced();
    let mut client = Client::offline(trusted.clone()).unwrap();
    assert_eq!(client.next(), Ok(None));
    assert!(matches!(client.find("images/ha@1.json"), Ok(Find::Found(_))));
    assert!(matches!(client.find("pins/lab.json"), Ok(Find::Found(_))));
    assert_eq!(client.find("elsewhere"), Ok(Find::NotFound));
    assert_eq!(client.trusted(), &trusted);
    assert_eq!(client.next_delegated(), Ok(None));
}

#[test]
fn expired_files_still_verify_offline() {
    let mut site = Site::new();
    for role in ["targets", "releases", "pins", "snapshot", "timestamp", "root"] {
        *site.field(role, &["expires"]) = "2001-01-01T00:00:00Z".into();
    }
    for role in ["root", "targets", "releases", "pins"] {
        site.put(role);
    }
    site.relist();
    let file = |name: &str| site.files[name].clone();
    let stored = TrustedFiles {
        root: file("1.root.json"),
        timestamp: Some(file("timestamp.json")),
        snapshot: Some(file("2.snapshot.json")),
        targets: Some(file("1.targets.json")),
        delegated: [("releases", "1.releases.json"), ("pins", "1.pins.json")]
            .map(|(role, name)| (role.to_owned(), file(name)))
            .into(),
    };
    let mut client = Client::offline(stored).unwrap();
    assert!(matches!(client.find("pins/lab.json"), Ok(Find::Found(_))));
}

#[test]
fn every_missing_file_is_named() {
    let trusted = Site::new().synced();
    let missing = |files: TrustedFiles| Client::offline(files).unwrap_err();
    let named = |file: &str| TrustError::Missing { file: file.into() };
    assert_eq!(missing(TrustedFiles { timestamp: None, ..trusted.clone() }), named("timestamp.json"));
    assert_eq!(missing(TrustedFiles { snapshot: None, ..trusted.clone() }), named("snapshot.json"));
    assert_eq!(missing(TrustedFiles { targets: None, ..trusted.clone() }), named("targets.json"));
    let mut partial = trusted;
    partial.delegated.remove("pins");
    let mut client = Client::offline(partial).unwrap();
    assert!(matches!(client.find("images/ha@1.json"), Ok(Find::Found(_))));
    assert_eq!(client.find("pins/lab.json"), Err(named("1.pins.json")));
}

#[test]
fn proof_is_what_verifies_alone() {
    let mut site = Site::new();
    let trusted = site.synced();
    site.bump("pins");
    site.put("pins");
    site.relist();
    let mut client = site.client_with(&trusted);
    assert_eq!(client.proof(), None);
    site.refresh(&mut client).unwrap();
    assert!(matches!(Client::offline(client.trusted().clone()), Err(TrustError::HashMismatch { .. })));
    assert!(client.proof().unwrap().delegated.is_empty());
    site.find(&mut client, "pins/lab.json").unwrap().unwrap();
    let proof = client.proof().unwrap();
    assert_eq!(proof.delegated.keys().collect::<Vec<_>>(), ["pins"]);
    let mut offline = Client::offline(proof.clone()).unwrap();
    assert!(matches!(offline.find("pins/lab.json"), Ok(Find::Found(_))));
    assert_eq!(offline.proof(), Some(proof));
}

#[test]
fn files_of_different_refreshes_do_not_mix() {
    let mut site = Site::new();
    let old = site.synced();
    site.bump("pins");
    site.put("pins");
    site.relist();
    let new = site.synced();
    let mixed = TrustedFiles { snapshot: old.snapshot.clone(), ..new.clone() };
    assert!(
        matches!(Client::offline(mixed), Err(TrustError::HashMismatch { role, .. }) if role == "snapshot")
    );
    let mixed = TrustedFiles { delegated: old.delegated, ..new.clone() };
    assert!(matches!(Client::offline(mixed), Err(TrustError::HashMismatch { role, .. }) if role == "pins"));
    let mut extra = new.clone();
    extra.delegated.insert("stranger".into(), b"?".to_vec());
    assert_eq!(Client::offline(extra).unwrap().trusted(), &new, "nobody delegates to it");
}

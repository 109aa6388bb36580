//! What was signed once, whenever that was.

use std::collections::BTreeMap;

use signing::client::signed_target;
use signing::{TargetInfo, TrustError, Value};

use crate::delegation::{delegation, delegations};
use crate::site::{Site, key};

const IMAGE: &str = "images/ha@1.json";

/// Asks with the newest files of the site.
fn ask(site: &mut Site, path: &str) -> Result<Option<TargetInfo>, TrustError> {
    let mut newest = |role: &str| {
        let version = site.version(role);
        site.files[&format!("{version}.{role}.json")].clone()
    };
    let (root, targets) = (newest("root"), newest("targets"));
    let delegated: BTreeMap<String, Vec<u8>> =
        ["releases", "pins"].map(|role| (role.to_owned(), newest(role))).into();
    signed_target(&root, &targets, &delegated, path)
}

fn threshold(role: &str) -> TrustError {
    TrustError::Threshold { role: role.into(), needed: 1, valid: 0 }
}

#[test]
fn every_role_speaks_for_its_own() {
    let mut site = Site::new();
    let image = ask(&mut site, IMAGE).unwrap().unwrap();
    assert_eq!((image.path.as_str(), image.length, image.sha256()), (IMAGE, 10, Ok([1; 32])));
    assert_eq!(image.custom.unwrap().get("arch").and_then(Value::as_str), Some("amd64"));
    assert_eq!(ask(&mut site, "pins/lab.json").unwrap().unwrap().sha256(), Ok([2; 32]));
    assert_eq!(ask(&mut site, "floor").unwrap().unwrap().sha256(), Ok([3; 32]));
    assert_eq!(ask(&mut site, "images/ha@2.json"), Ok(None));
    assert_eq!(ask(&mut site, "x/y/z"), Ok(None));
}

#[test]
fn expired_files_say_what_they_said() {
    let mut site = Site::new();
    for role in ["root", "targets", "releases"] {
        *site.field(role, &["expires"]) = "2000-01-01T00:00:00Z".into();
        site.put(role);
    }
    assert!(ask(&mut site, IMAGE).unwrap().is_some());
}

#[test]
fn keys_of_another_role_do_not_count() {
    for (role, seed) in [("targets", 3), ("targets", 1), ("releases", 4), ("releases", 2), ("releases", 99)] {
        let mut site = Site::new();
        site.put_signed(role, &[&key(seed)]);
        assert_eq!(ask(&mut site, IMAGE), Err(threshold(role)), "{role} signed by key {seed}");
    }
    // Who is not asked for a path is not looked at.
    let mut site = Site::new();
    site.put_signed("pins", &[&key(99)]);
    assert!(ask(&mut site, IMAGE).unwrap().is_some());
    assert_eq!(ask(&mut site, "pins/lab.json"), Err(threshold("pins")));
}

#[test]
fn a_role_cannot_list_what_is_not_its_own() {
    let mut site = Site::new();
    let target = site.field("releases", &["targets", IMAGE]).clone();
    *site.field("pins", &["targets", "images/evil@1.json"]) = target;
    site.put("pins");
    assert_eq!(ask(&mut site, "images/evil@1.json"), Ok(None));
}

#[test]
fn signed_files_of_another_type_are_refused() {
    let mut site = Site::new();
    let snapshot = site.content["snapshot"].clone();
    site.content.insert("targets".into(), snapshot);
    site.put("targets");
    let outcome = ask(&mut site, IMAGE);
    assert!(matches!(outcome, Err(TrustError::WrongType { expected: "targets", .. })), "{outcome:?}");
}

#[test]
fn order_and_terminating_count() {
    let offer = |terminating: bool, with_first: bool| {
        let mut site = Site::new();
        let roles = vec![delegation("first", &["x"], terminating), delegation("second", &["x"], false)];
        *site.field("targets", &["delegations"]) = delegations(roles);
        site.put("targets");
        let target = site.field("releases", &["targets", IMAGE]).clone();
        let mut delegated = BTreeMap::new();
        let mut empty = site.content["pins"].clone();
        *Site::at(&mut empty, &["targets"]) = Value::from([]);
        if with_first {
            delegated.insert("first".to_owned(), signing::repo::sign_envelope(&empty, &[&key(3)]).unwrap());
        }
        *Site::at(&mut empty, &["targets", "x"]) = target;
        delegated.insert("second".to_owned(), signing::repo::sign_envelope(&empty, &[&key(3)]).unwrap());
        let targets = &site.files["1.targets.json"];
        signed_target(&site.first_root, targets, &delegated, "x").unwrap().is_some()
    };
    assert!(offer(false, true) && offer(false, false), "the second is asked when the first has nothing");
    assert!(!offer(true, true) && !offer(true, false), "nobody is asked behind a terminating one");
}

#[test]
fn nothing_is_read_beyond_the_limits() {
    let site = Site::new();
    let targets = &site.files["1.targets.json"];
    let none = BTreeMap::new();
    let outcome = signed_target(&vec![b' '; 524_289], targets, &none, IMAGE);
    assert!(matches!(outcome, Err(TrustError::EndlessData { limit: 524_288, .. })), "{outcome:?}");
    let outcome = signed_target(&site.first_root, &vec![b' '; 5_242_881], &none, IMAGE);
    assert!(matches!(outcome, Err(TrustError::EndlessData { limit: 5_242_880, .. })), "{outcome:?}");
    let long = BTreeMap::from([("releases".to_owned(), vec![b' '; 5_242_881])]);
    let outcome = signed_target(&site.first_root, targets, &long, IMAGE);
    assert!(matches!(outcome, Err(TrustError::EndlessData { limit: 5_242_880, .. })), "{outcome:?}");
    assert_eq!(
        signed_target(&site.first_root, targets, &none, IMAGE),
        Ok(None),
        "what is missing lists nothing"
    );
}

//! The chain of roots.

use signing::metadata::Signers;
use signing::{JsonError, KeyError, TrustError, Value, json};

use super::{Case, case, case_like, republish};
use crate::site::{NOW, Site, key};

pub(super) const CASES: &[Case] = &[
    case("root 2 signed by the old keys only", |site| rotated(site, &[1]), || unsigned(0)),
    case("root 2 signed by the new keys only", |site| rotated(site, &[50]), || unsigned(0)),
    case("root 2 says that it is version 3", |site| numbered(site, 3), || chain(3)),
    case("root 2 says that it is version 1", |site| numbered(site, 1), || chain(1)),
    case(
        "a chain of 1,025 roots",
        |site| roots(site, 1_025),
        || TrustError::TooManyRotations { limit: 1_024 },
    )
    .moving(&["root"])
    .repaired_by(|site| {
        roots(site, 1_025);
        republish(site);
    }),
    case("the newest root has expired", expired, || TrustError::Expired {
        role: "root".into(),
        expired: NOW,
        now: NOW,
    })
    .moving(&["root"])
    .repaired_by(|site| {
        expired(site);
        *site.field("root", &["expires"]) = "2099-01-01T00:00:00Z".into();
        next_root(site);
        republish(site);
    }),
    case_like("a threshold of 0", |site| threshold(site, 0), shape),
    case_like("a threshold of -1", |site| threshold(site, -1), shape),
    case_like("a threshold beyond what is counted", |site| threshold(site, i64::MAX), shape),
    case_like("a threshold of 2^63", two_to_63, |error| {
        matches!(error, TrustError::Json { source: JsonError::NotAnInteger(_), .. })
    }),
    case_like(
        "a key of small order",
        |site| with_key(site, &format!("01{}", "00".repeat(31)), None),
        |error| matches!(error, TrustError::Key { source: KeyError::Weak(_), .. }),
    ),
    case_like(
        "a key that is no point",
        |site| with_key(site, &format!("02{}", "00".repeat(31)), None),
        malformed,
    ),
    case_like("a key in upper-case hex", |site| with_key(site, &"AB".repeat(32), None), malformed),
    case_like("a key of 31 bytes", |site| with_key(site, &"ab".repeat(31), None), malformed),
    case_like(
        "a key under the id of another",
        |site| with_key(site, GOOD, Some(&"0".repeat(64))),
        |error| matches!(error, TrustError::Key { source: KeyError::WrongId { .. }, .. }),
    ),
    case_like("one key id bound to two keys", twice_bound, |error| {
        matches!(error, TrustError::Json { source: JsonError::DuplicateKey(_), .. })
    }),
    case_like("a key listed twice for a role", listed_twice, |error| {
        matches!(error, TrustError::Malformed { .. })
    }),
    case(
        "a root for specification 2.0.0",
        |site| spec(site, "root"),
        || TrustError::SpecVersion { role: "root".into(), found: "2.0.0".into() },
    ),
    case("targets offered as root", swapped, || TrustError::WrongType {
        role: "root".into(),
        expected: "root",
        found: "targets".into(),
    }),
    case(
        "a root of 600 KiB",
        |site| drop(site.files.insert("2.root.json".into(), vec![b' '; 614_400])),
        || TrustError::EndlessData { role: "root".into(), limit: 524_288, found: 614_400 },
    ),
];

/// RFC 8032, test 1.
const GOOD: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

fn next_root(site: &mut Site) {
    site.bump("root");
    site.put("root");
}

fn roots(site: &mut Site, count: usize) {
    (0..count).for_each(|_| next_root(site));
}

/// Version 2 is for key 50 instead of key 1.
fn rotated(site: &mut Site, signers: &[u8]) {
    let new = key(50).public();
    *site.field("root", &["keys", new.id().as_str()]) = json::to_value(&new.to_key()).unwrap();
    *site.field("root", &["roles", "root"]) = json::to_value(&Signers::new(&[new], 1)).unwrap();
    site.bump("root");
    let keys: Vec<_> = signers.iter().map(|seed| key(*seed)).collect();
    site.put_signed("root", &keys.iter().collect::<Vec<_>>());
}

fn unsigned(valid: u32) -> TrustError {
    TrustError::Threshold { role: "root".into(), needed: 1, valid }
}

fn numbered(site: &mut Site, version: i64) {
    *site.field("root", &["version"]) = version.into();
    site.put("root");
    let file = site.files[&format!("{version}.root.json")].clone();
    site.files.retain(|name, _| !name.ends_with(".root.json"));
    site.files.insert("2.root.json".into(), file);
}

fn chain(found: u64) -> TrustError {
    TrustError::RootVersion { expected: 2, found }
}

fn expired(site: &mut Site) {
    *site.field("root", &["expires"]) = Value::String(NOW.to_string());
    next_root(site);
}

fn threshold(site: &mut Site, threshold: i64) {
    *site.field("root", &["roles", "timestamp", "threshold"]) = threshold.into();
    next_root(site);
}

/// Our own writer cannot say it: the number is put into the text.
fn two_to_63(site: &mut Site) {
    threshold(site, 77);
    replace(site, "\"threshold\": 77", "\"threshold\": 9223372036854775808");
}

fn replace(site: &mut Site, from: &str, to: &str) {
    let text = String::from_utf8(site.files["2.root.json"].clone()).unwrap();
    assert!(text.contains(from), "{text}");
    site.files.insert("2.root.json".into(), text.replacen(from, to, 1).into_bytes());
}

fn with_key(site: &mut Site, public: &str, keyid: Option<&str>) {
    let key = Value::from([
        ("keytype", "ed25519".into()),
        ("scheme", "ed25519".into()),
        ("keyval", Value::from([("public", public.into())])),
    ]);
    let computed: signing::key::Key = json::from_value(&key).unwrap();
    let keyid = keyid.map_or(computed.id().to_string(), str::to_owned);
    *site.field("root", &["keys", &keyid]) = key;
    next_root(site);
}

fn twice_bound(site: &mut Site) {
    next_root(site);
    let id = key(1).public().id();
    replace(site, "\"keys\": {", &format!("\"keys\": {{\"{id}\": {{\"keytype\": \"ed25519\"}},"));
}

fn listed_twice(site: &mut Site) {
    let Value::Array(keyids) = site.field("root", &["roles", "snapshot", "keyids"]) else { panic!() };
    keyids.push(keyids[0].clone());
    next_root(site);
}

pub(super) fn spec(site: &mut Site, role: &str) {
    *site.field(role, &["spec_version"]) = "2.0.0".into();
    site.bump(role);
    site.put(role);
}

/// The same keys sign for it: only the type can tell.
fn swapped(site: &mut Site) {
    let mut targets = site.content["targets"].clone();
    let Value::Object(members) = &mut targets else { panic!() };
    members.insert("version".into(), 2.into());
    site.content.insert("root".into(), targets);
    site.put_signed("root", &[&key(1)]);
}

fn shape(error: &TrustError) -> bool {
    matches!(error, TrustError::Json { source: JsonError::Shape(_), .. })
}

fn malformed(error: &TrustError) -> bool {
    matches!(error, TrustError::Key { source: KeyError::Malformed(_), .. })
}

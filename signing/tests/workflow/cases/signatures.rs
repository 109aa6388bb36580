//! One signature, and all that can be done to its text.

use signing::{TrustError, Value};

use super::{Case, case, honest, republish};
use crate::site::{Site, key};

pub(super) const CASES: &[Case] = &[
    case("a signature that is listed twice for a threshold of 2", twice_for_two, twice)
        .moving(&["root", "timestamp", "snapshot"])
        .repaired_by(|site| {
            two_of_two(site);
            republish_with_two(site);
        }),
    case("a signature that is listed twice where one would do", again, twice),
    case("a signature of 63 bytes", |site| respelled(site, |sig| sig[2..].to_owned()), few),
    case("a signature of 65 bytes", |site| respelled(site, |sig| format!("{sig}00")), few),
    case("a signature in upper-case hex", |site| respelled(site, str::to_uppercase), few),
    case("a signature with half a byte more", |site| respelled(site, |sig| format!("{sig}0")), few),
    case("a signature that is empty", |site| respelled(site, |_| String::new()), few),
    case("a signature with s + L instead of s", |site| respelled(site, malleated), few),
    case(
        "a signature with the identity as R and 0 as s",
        |site| respelled(site, |_| format!("01{}", "00".repeat(63))),
        few,
    ),
    case("a timestamp signed by the key of the snapshot", |site| signed_by(site, 5), few),
    case("a timestamp signed by nobody known", |site| signed_by(site, 99), few),
    case("a timestamp signed by nobody", |site| edit(site, Vec::clear), few),
    case("a signature over other content", other_content, few),
];

fn few() -> TrustError {
    TrustError::Threshold { role: "timestamp".into(), needed: 1, valid: 0 }
}

fn twice() -> TrustError {
    TrustError::DuplicateSignature { role: "timestamp".into(), keyid: key(6).public().id().to_string() }
}

/// A new timestamp whose signatures are then changed.
fn edit(site: &mut Site, change: impl FnOnce(&mut Vec<Value>)) {
    site.bump("timestamp");
    site.put("timestamp");
    change_signatures(site, change);
}

fn change_signatures(site: &mut Site, change: impl FnOnce(&mut Vec<Value>)) {
    let mut file = signing::parse(&site.files["timestamp.json"], 1 << 20).unwrap();
    let Value::Object(members) = &mut file else { panic!() };
    let Some(Value::Array(signatures)) = members.get_mut("signatures") else { panic!() };
    change(signatures);
    site.files.insert("timestamp.json".into(), serde_json::to_vec(&file).unwrap());
}

fn again(site: &mut Site) {
    edit(site, |signatures| signatures.push(signatures[0].clone()));
}

/// The timestamp needs two keys from root 2 on.
fn two_of_two(site: &mut Site) {
    let keys = [key(6).public(), key(60).public()];
    for key in &keys {
        *site.field("root", &["keys", key.id().as_str()]) = signing::json::to_value(&key.to_key()).unwrap();
    }
    let signers = signing::metadata::Signers::new(&keys, 2);
    *site.field("root", &["roles", "timestamp"]) = signing::json::to_value(&signers).unwrap();
    site.bump("root");
    site.put("root");
}

fn twice_for_two(site: &mut Site) {
    two_of_two(site);
    again(site);
}

fn republish_with_two(site: &mut Site) {
    republish(site);
    site.put_signed("timestamp", &[&key(6), &key(60)]);
}

fn respelled(site: &mut Site, respell: impl Fn(&str) -> String) {
    edit(site, |signatures| {
        let Value::Object(members) = &mut signatures[0] else { panic!() };
        let sig = respell(members["sig"].as_str().unwrap());
        members.insert("sig".into(), Value::String(sig));
    });
}

/// Adds the order of the group to the second half: the same number, for who does not look closely.
fn malleated(sig: &str) -> String {
    const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let byte = |text: &str, at: usize| u16::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    let mut carry = 0;
    let mut out = sig[..64].to_owned();
    for at in 0..32 {
        let sum = byte(&sig[64..], at) + byte(ORDER, at) + carry;
        out += &format!("{:02x}", sum & 0xff);
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    out
}

fn signed_by(site: &mut Site, seed: u8) {
    site.bump("timestamp");
    site.put_signed("timestamp", &[&key(seed)]);
}

fn other_content(site: &mut Site) {
    edit(site, |_| {});
    let text = String::from_utf8(site.files["timestamp.json"].clone()).unwrap();
    site.files
        .insert("timestamp.json".into(), text.replace("\"expires\":\"20", "\"expires\":\"21").into_bytes());
}

/// What must not stop anybody: a repository in transition carries signatures that are not understood yet.
#[test]
fn garbage_beside_a_good_signature_does_no_harm() {
    for garbage in ["", "zz", "0", &"00".repeat(64), &"AB".repeat(64), &"a".repeat(10_000)] {
        let mut site = honest();
        let before = site.synced();
        edit(&mut site, |signatures| {
            let keyid = key(50).public().id().to_string();
            signatures.insert(0, Value::from([("keyid", Value::String(keyid)), ("sig", garbage.into())]));
        });
        let mut client = site.client_with(&before);
        site.follow(&mut client, &super::PATHS).unwrap();
        assert_eq!(client.trusted().timestamp.as_ref(), site.files.get("timestamp.json"), "kept as received");
    }
}

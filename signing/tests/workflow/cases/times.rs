//! Rollback, freeze, mix-and-match: what timestamp and snapshot are there for.

use signing::{TrustError, UnixTime, Value};

use super::roots::spec;
use super::{Case, case};
use crate::site::{NOW, Site};

pub(super) const CASES: &[Case] = &[
    case("an older timestamp", |site| set_version(site, "timestamp", 1), || rollback("timestamp", 2, 1)),
    case("a timestamp of an older snapshot", older_snapshot, || rollback("snapshot", 2, 1)),
    case(
        "a timestamp that expired a second ago",
        |site| expires(site, NOW.0 - 1),
        || expired("timestamp", NOW.0 - 1),
    ),
    case("a timestamp that expires just now", |site| expires(site, NOW.0), || expired("timestamp", NOW.0)),
    case(
        "no timestamp",
        |site| drop(site.files.remove("timestamp.json")),
        || TrustError::Missing { file: "timestamp.json".into() },
    ),
    case("a signed snapshot as timestamp", snapshot_as_timestamp, || TrustError::WrongType {
        role: "timestamp".into(),
        expected: "timestamp",
        found: "snapshot".into(),
    }),
    case(
        "a timestamp for specification 2.0.0",
        |site| spec(site, "timestamp"),
        || TrustError::SpecVersion { role: "timestamp".into(), found: "2.0.0".into() },
    ),
    case(
        "a timestamp of 10 MB",
        |site| drop(site.files.insert("timestamp.json".into(), vec![b' '; 10_000_000])),
        || TrustError::EndlessData { role: "timestamp".into(), limit: 16_384, found: 10_000_000 },
    ),
    case("a snapshot declared too long", too_long, || TrustError::EndlessData {
        role: "snapshot".into(),
        limit: 2_097_152,
        found: 2_097_153,
    })
    .moving(&["timestamp"]),
    case("a snapshot of another version than listed", other_version, || TrustError::MixAndMatch {
        role: "snapshot".into(),
        listed_in: "timestamp",
        expected: 4,
        found: 3,
    })
    .moving(&["timestamp"]),
    case("no snapshot", without_snapshot, || TrustError::Missing { file: "3.snapshot.json".into() })
        .moving(&["timestamp"]),
    case("an expired snapshot", expired_snapshot, || expired("snapshot", NOW.0 - 1)).moving(&["timestamp"]),
    case("a snapshot without a role that was there", dropped, || TrustError::Dropped {
        file: "pins.json".into(),
    })
    .moving(&["timestamp"]),
    case("a snapshot with older assignments and pins", older_pins, || rollback("pins", 2, 1))
        .moving(&["timestamp"]),
    case("a snapshot signed by the key of the timestamp", foreign_snapshot, || TrustError::Threshold {
        role: "snapshot".into(),
        needed: 1,
        valid: 0,
    })
    .moving(&["timestamp"]),
];

fn rollback(role: &str, trusted: u64, found: u64) -> TrustError {
    TrustError::Rollback { role: role.into(), trusted, found }
}

fn expired(role: &str, expired: i64) -> TrustError {
    TrustError::Expired { role: role.into(), expired: UnixTime(expired), now: NOW }
}

fn set_version(site: &mut Site, role: &str, version: i64) {
    *site.field(role, &["version"]) = version.into();
    site.put(role);
}

fn older_snapshot(site: &mut Site) {
    *site.field("snapshot", &["version"]) = 1.into();
    site.list_snapshot();
}

fn expires(site: &mut Site, moment: i64) {
    *site.field("timestamp", &["expires"]) = Value::String(UnixTime(moment).to_string());
    site.bump("timestamp");
    site.put("timestamp");
}

fn snapshot_as_timestamp(site: &mut Site) {
    let mut snapshot = site.content["snapshot"].clone();
    let Value::Object(members) = &mut snapshot else { panic!() };
    members.insert("version".into(), 9.into());
    site.content.insert("timestamp".into(), snapshot);
    site.put("timestamp");
}

fn too_long(site: &mut Site) {
    *site.field("timestamp", &["meta", "snapshot.json", "length"]) = 2_097_153.into();
    *site.field("timestamp", &["meta", "snapshot.json", "version"]) = 3.into();
    site.bump("timestamp");
    site.put("timestamp");
}

fn other_version(site: &mut Site) {
    site.relist();
    *site.field("timestamp", &["meta", "snapshot.json", "version"]) = 4.into();
    site.bump("timestamp");
    site.put("timestamp");
    let file = site.files["3.snapshot.json"].clone();
    site.files.insert("4.snapshot.json".into(), file);
}

fn without_snapshot(site: &mut Site) {
    site.relist();
    site.files.remove("3.snapshot.json");
}

fn expired_snapshot(site: &mut Site) {
    *site.field("snapshot", &["expires"]) = Value::String(UnixTime(NOW.0 - 1).to_string());
    site.relist();
}

fn dropped(site: &mut Site) {
    let Value::Object(meta) = site.field("snapshot", &["meta"]) else { panic!() };
    meta.remove("pins.json");
    site.bump("snapshot");
    site.put("snapshot");
    site.list_snapshot();
}

/// The owner went from 1 to 2; who has the online keys lists 1 again.
fn older_pins(site: &mut Site) {
    set_version(site, "pins", 1);
    site.relist();
}

fn foreign_snapshot(site: &mut Site) {
    site.bump("snapshot");
    let timestamp = crate::site::key(6);
    site.put_signed("snapshot", &[&timestamp]);
    site.list_snapshot();
}

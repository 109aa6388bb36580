//! Targets and delegated roles: what is listed, by whom, and without end.

use signing::{TrustError, TrustedFiles, UnixTime, Value};

use super::{Case, case, case_like, republish};
use crate::delegation::{delegation, delegations};
use crate::site::{NOW, Site, key};

const LISTS: &[&str] = &["timestamp", "snapshot"];

pub(super) const CASES: &[Case] = &[
    case("targets of another version than listed", |site| mixed(site, "targets"), || mix("targets"))
        .moving(LISTS),
    case("pins of another version than listed", |site| mixed(site, "pins"), || mix("pins")).moving(&[
        "timestamp",
        "snapshot",
        "targets",
        "releases",
    ]),
    case_like("other targets than listed, of the same length", |site| exchanged(site, "targets"), hash)
        .moving(LISTS),
    case_like("other releases than listed, of the same length", |site| exchanged(site, "releases"), hash)
        .moving(&["timestamp", "snapshot", "targets"]),
    case("truncated targets", truncated, || TrustError::LengthMismatch {
        role: "targets".into(),
        expected: 1,
        found: 0,
    })
    .moving(LISTS),
    case("expired targets", |site| expired(site, "targets"), || too_late("targets")).moving(LISTS),
    case("expired pins", |site| expired(site, "pins"), || too_late("pins")).moving(&[
        "timestamp",
        "snapshot",
        "targets",
        "releases",
    ]),
    case("releases signed by the key of the pins", |site| signed_by(site, "releases", 4), || few("releases"))
        .moving(&["timestamp", "snapshot", "targets"]),
    case("pins signed by the key of the releases", |site| signed_by(site, "pins", 3), || few("pins"))
        .moving(&["timestamp", "snapshot", "targets", "releases"]),
    case("targets signed by the online keys", |site| signed_by(site, "targets", 5), || few("targets"))
        .moving(LISTS),
    case("a delegated role that is not listed", ghost, || TrustError::NotInSnapshot { role: "ghost".into() })
        .moving(&["timestamp", "snapshot", "targets"]),
    case("10,000 delegated roles", wide, || TrustError::TooManyDelegations { limit: 32 })
        .moving(&[
            "timestamp",
            "snapshot",
            "targets",
            "r00000",
            "r00001",
            "r00002",
            "r00003",
            "r00004",
            "r00005",
            "r00006",
            "r00007",
            "r00008",
            "r00009",
            "r00010",
            "r00011",
            "r00012",
            "r00013",
            "r00014",
            "r00015",
            "r00016",
            "r00017",
            "r00018",
            "r00019",
            "r00020",
            "r00021",
            "r00022",
            "r00023",
            "r00024",
            "r00025",
            "r00026",
            "r00027",
            "r00028",
            "r00029",
            "r00030",
            "r00031",
        ])
        // A snapshot must go on to list what it listed once, also when nobody delegates to it any more.
        .repaired_by(|site| {
            fillers(site);
            republish(site);
        }),
    case("a delegated role with a name of 64 KB", long_name, || TrustError::Malformed {
        role: "targets".into(),
        reason: "a delegated role's name is 65536 bytes long".into(),
    })
    .moving(LISTS),
    case("a delegation to a top-level role", top_level, || TrustError::Malformed {
        role: "targets".into(),
        reason: "delegates to the top-level role \"root\"".into(),
    })
    .moving(LISTS),
    case("targets declared as long as a disk", endless, || TrustError::EndlessData {
        role: "targets".into(),
        limit: 5_242_880,
        found: 1_000_000_000_000,
    })
    .moving(LISTS),
];

fn mix(role: &str) -> TrustError {
    TrustError::MixAndMatch { role: role.into(), listed_in: "snapshot", expected: 4, found: 3 }
}

fn hash(error: &TrustError) -> bool {
    matches!(error, TrustError::HashMismatch { .. })
}

fn few(role: &str) -> TrustError {
    TrustError::Threshold { role: role.into(), needed: 1, valid: 0 }
}

fn too_late(role: &str) -> TrustError {
    TrustError::Expired { role: role.into(), expired: UnixTime(NOW.0 - 1), now: NOW }
}

/// All targets roles anew, version 3.
fn renew(site: &mut Site) {
    for role in ["targets", "releases", "pins"] {
        site.bump(role);
        site.put(role);
    }
}

/// The snapshot lists version 4 with the bytes of version 3.
fn mixed(site: &mut Site, role: &str) {
    renew(site);
    site.relist();
    let file = site.files[&format!("3.{role}.json")].clone();
    site.files.insert(format!("4.{role}.json"), file);
    *site.field("snapshot", &["meta", &format!("{role}.json"), "version"]) = 4.into();
    site.bump("snapshot");
    site.put("snapshot");
    site.list_snapshot();
}

/// Correctly signed, and not what the snapshot lists.
fn exchanged(site: &mut Site, role: &str) {
    renew(site);
    site.relist();
    *site.field(role, &["expires"]) = "2031-01-01T00:00:00Z".into();
    site.put(role);
}

fn truncated(site: &mut Site) {
    renew(site);
    *site.field("targets", &["version"]) = 3.into();
    site.relist();
    *site.field("snapshot", &["meta", "targets.json", "length"]) = 1.into();
    site.bump("snapshot");
    site.put("snapshot");
    site.list_snapshot();
    site.files.insert("3.targets.json".into(), Vec::new());
}

fn expired(site: &mut Site, role: &str) {
    renew(site);
    *site.field(role, &["expires"]) = Value::String(UnixTime(NOW.0 - 1).to_string());
    site.put(role);
    site.relist();
}

fn signed_by(site: &mut Site, role: &str, seed: u8) {
    renew(site);
    site.put_signed(role, &[&key(seed)]);
    site.relist();
}

/// `targets` delegates to these roles, and then to those that it had.
fn delegate(site: &mut Site, mut roles: Vec<Value>) {
    renew(site);
    let Value::Array(own) = site.field("targets", &["delegations", "roles"]).clone() else { panic!() };
    roles.extend(own);
    *site.field("targets", &["delegations", "roles"]) = Value::Array(roles);
    site.put("targets");
}

fn ghost(site: &mut Site) {
    delegate(site, vec![delegation("ghost", &["images/*"], false)]);
    site.relist();
}

fn wide(site: &mut Site) {
    let name = |number: usize| format!("r{number:05}");
    delegate(site, (0..10_000).map(|number| delegation(&name(number), &["images/*"], false)).collect());
    fillers(site);
}

/// The first 40 of these roles, all empty.
fn fillers(site: &mut Site) {
    let mut empty = site.content["releases"].clone();
    let Value::Object(members) = &mut empty else { panic!() };
    members.insert("targets".into(), Value::from([]));
    members.insert("version".into(), 3.into());
    for number in 0..40 {
        let name = format!("r{number:05}");
        site.content.insert(name.clone(), empty.clone());
        site.put_signed(&name, &[&key(3)]);
    }
    site.relist();
}

fn long_name(site: &mut Site) {
    delegate(site, vec![delegation(&"n".repeat(65_536), &["images/*"], false)]);
    site.relist();
}

fn top_level(site: &mut Site) {
    delegate(site, vec![delegation("root", &["images/*"], false)]);
    site.relist();
}

fn endless(site: &mut Site) {
    renew(site);
    site.relist();
    *site.field("snapshot", &["meta", "targets.json", "length"]) = 1_000_000_000_000.into();
    site.bump("snapshot");
    site.put("snapshot");
    site.list_snapshot();
}

/// What is refused by not being found: no error, and nothing to install.
#[test]
fn roles_cannot_name_what_is_not_theirs() {
    for (role, path) in
        [("pins", "images/evil@1.json"), ("releases", "pins/x.json"), ("targets", "images/top@1.json")]
    {
        let mut site = super::honest();
        let before = site.synced();
        renew(&mut site);
        let target = site.field("releases", &["targets", "images/ha@1.json"]).clone();
        *site.field(role, &["targets", path]) = target;
        site.put(role);
        site.relist();
        let mut client = site.client_with(&before);
        site.follow(&mut client, &super::PATHS).unwrap();
        let found = site.find(&mut client, path).unwrap();
        // The top-level role is bound by nothing: it makes the delegations.
        assert_eq!(found.is_some(), role == "targets", "{role} names {path}");
    }
}

/// Depth 1,000 and a cycle: the search ends, and says that it was cut, or that there is nothing.
#[test]
fn deep_chains_and_cycles_end() {
    for (length, cycle) in [(1_000, true), (40, false), (20, true)] {
        let mut site = Site::new();
        let name = |number: usize| format!("d{number}");
        let mut empty = site.content["pins"].clone();
        let Value::Object(members) = &mut empty else { panic!() };
        members.insert("targets".into(), Value::from([]));
        for number in 0..length {
            let last = number + 1 == length;
            let mut content = empty.clone();
            let Value::Object(members) = &mut content else { panic!() };
            if !last || cycle {
                let next = if last { 0 } else { number + 1 };
                members
                    .insert("delegations".into(), delegations(vec![delegation(&name(next), &["x"], false)]));
            }
            site.content.insert(name(number), content);
            site.put_signed(&name(number), &[&key(3)]);
        }
        *site.field("targets", &["delegations"]) = delegations(vec![delegation("d0", &["x"], false)]);
        site.put("targets");
        site.relist();
        let mut client = site.client_with(&TrustedFiles::from_root(site.first_root.clone()));
        site.refresh(&mut client).unwrap();
        let outcome = site.find(&mut client, "x");
        if length > 32 {
            assert_eq!(outcome, Err(TrustError::TooManyDelegations { limit: 32 }));
        } else {
            assert_eq!(outcome, Ok(None), "a cycle of {length}");
        }
    }
}

//! Every limit to the byte: the largest that is taken, and one more.

use signing::limits::{
    MAX_DELEGATIONS, MAX_ROLE_NAME_LEN, MAX_ROOT_ROTATIONS, ROOT_MAX_LEN, SNAPSHOT_MAX_LEN, TARGETS_MAX_LEN,
    TIMESTAMP_MAX_LEN,
};
use signing::metadata::MetaFile;
use signing::{Client, TrustError, TrustedFiles, Value, json};

use crate::delegation::{delegation, delegations};
use crate::site::{NOW, Site, key};

/// White space up to `len` bytes.
fn pad(file: &mut Vec<u8>, len: u64) {
    file.resize(usize::try_from(len).unwrap(), b' ');
}

/// The refusal after padding a file to `len`, with `relist` doing what makes it the right file.
fn padded(name: &str, len: u64, relist: fn(&mut Site)) -> Result<(), TrustError> {
    let mut site = Site::new();
    pad(site.files.get_mut(name).unwrap(), len);
    relist(&mut site);
    let mut client = site.client();
    site.follow(&mut client, &["images/ha@1.json", "pins/lab.json"])
}

fn endless(role: &str, limit: u64) -> Result<(), TrustError> {
    Err(TrustError::EndlessData { role: role.into(), limit, found: limit + 1 })
}

/// Lists only versions: the limit is then the client's own.
fn without_lengths(site: &mut Site) {
    for role in ["targets", "releases", "pins"] {
        let version = site.version(role).unsigned_abs();
        let listed = json::to_value(&MetaFile::version_only(version)).unwrap();
        *site.field("snapshot", &["meta", &format!("{role}.json")]) = listed;
    }
    site.put("snapshot");
    snapshot_without_length(site);
}

fn snapshot_without_length(site: &mut Site) {
    let listed = json::to_value(&MetaFile::version_only(1)).unwrap();
    *site.field("timestamp", &["meta", "snapshot.json"]) = listed;
    site.put("timestamp");
}

#[test]
fn longest_files() {
    type Case = (&'static str, &'static str, u64, fn(&mut Site));
    let cases: [Case; 5] = [
        ("timestamp", "timestamp.json", TIMESTAMP_MAX_LEN, |_| {}),
        ("snapshot", "1.snapshot.json", SNAPSHOT_MAX_LEN, snapshot_without_length),
        ("snapshot", "1.snapshot.json", SNAPSHOT_MAX_LEN, Site::list_snapshot),
        ("targets", "1.targets.json", TARGETS_MAX_LEN, without_lengths),
        ("pins", "1.pins.json", TARGETS_MAX_LEN, without_lengths),
    ];
    for (role, name, limit, relist) in cases {
        assert_eq!(padded(name, limit, relist), Ok(()), "{name}");
        assert_eq!(padded(name, limit + 1, relist), endless(role, limit), "{name}");
    }
}

#[test]
fn longest_roots() {
    let site = Site::new();
    let mut root = site.first_root.clone();
    pad(&mut root, ROOT_MAX_LEN);
    assert!(Client::new(TrustedFiles::from_root(root.clone()), NOW).is_ok());
    root.push(b' ');
    let refused = Client::new(TrustedFiles::from_root(root), NOW).map(drop);
    assert_eq!(refused, endless("root", ROOT_MAX_LEN));

    for more in [0, 1] {
        let mut site = Site::new();
        site.bump("root");
        site.put("root");
        pad(site.files.get_mut("2.root.json").unwrap(), ROOT_MAX_LEN + more);
        let mut client = site.client();
        let expected = if more == 0 { Ok(()) } else { endless("root", ROOT_MAX_LEN) };
        assert_eq!(site.refresh(&mut client), expected);
    }
}

#[test]
fn longest_chain_of_roots() {
    let mut site = Site::new();
    for _ in 1..MAX_ROOT_ROTATIONS {
        site.bump("root");
        site.put("root");
    }
    let mut client = site.client();
    assert_eq!(site.refresh(&mut client), Ok(()));
    // One more is followed too, but then it is not asked whether there are still more.
    site.bump("root");
    site.put("root");
    let mut client = site.client();
    let error = TrustError::TooManyRotations { limit: MAX_ROOT_ROTATIONS };
    assert_eq!(site.refresh(&mut client), Err(error));
    assert_eq!(client.root().version, u64::from(MAX_ROOT_ROTATIONS) + 1);
}

/// `count` delegated roles, all of which may speak of `x`, and none does.
fn with_roles(count: usize) -> Site {
    let mut site = Site::new();
    let mut empty = site.content["pins"].clone();
    let Value::Object(members) = &mut empty else { panic!() };
    members.insert("targets".into(), Value::from([]));
    let names: Vec<String> = (0..count).map(|number| format!("r{number}")).collect();
    for name in &names {
        site.content.insert(name.clone(), empty.clone());
        site.put_signed(name, &[&key(3)]);
    }
    let roles = names.iter().map(|name| delegation(name, &["x"], false)).collect();
    *site.field("targets", &["delegations"]) = delegations(roles);
    site.put("targets");
    site.relist();
    site
}

#[test]
fn most_delegated_roles() {
    let too_many = TrustError::TooManyDelegations { limit: MAX_DELEGATIONS };
    for (count, expected) in [(MAX_DELEGATIONS, Ok(None)), (MAX_DELEGATIONS + 1, Err(too_many.clone()))] {
        let mut site = with_roles(count);
        let mut client = site.client();
        site.refresh(&mut client).unwrap();
        assert_eq!(site.find(&mut client, "x"), expected, "{count}");
    }
    for (count, is_fine) in [(MAX_DELEGATIONS, true), (MAX_DELEGATIONS + 1, false)] {
        let mut site = with_roles(count);
        let mut client = site.client();
        site.refresh(&mut client).unwrap();
        let files = site.files;
        let fetch =
            |wanted: &signing::Fetch| Ok::<_, std::convert::Infallible>(files.get(&wanted.name).cloned());
        assert_eq!(signing::load_all(&mut client, fetch).is_ok(), is_fine, "{count}");
        assert_eq!(client.next_delegated(), if is_fine { Ok(None) } else { Err(too_many.clone()) });
    }
}

#[test]
fn longest_name_of_a_role() {
    for (length, is_fine) in
        [(1, true), (MAX_ROLE_NAME_LEN, true), (MAX_ROLE_NAME_LEN + 1, false), (0, false)]
    {
        let mut site = Site::new();
        let roles = vec![delegation(&"n".repeat(length), &["x"], false)];
        *site.field("targets", &["delegations"]) = delegations(roles);
        site.put("targets");
        site.relist();
        let mut client = site.client();
        let reason = format!("a delegated role's name is {length} bytes long");
        let refused = Err(TrustError::Malformed { role: "targets".into(), reason });
        assert_eq!(site.refresh(&mut client), if is_fine { Ok(()) } else { refused }, "{length}");
    }
}

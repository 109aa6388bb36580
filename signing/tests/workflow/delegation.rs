//! Delegations: who may name what, in which order, and without end.

use signing::metadata::{Delegation, Delegations, Signers};
use signing::{Client, KeyError, TrustError, Value, json};

use crate::site::{NOW, Site, key};

/// An entry of `targets`.
fn target(mark: u8) -> Value {
    let digest = format!("{mark:02x}").repeat(32);
    Value::from([("length", 1.into()), ("hashes", Value::from([("sha256", Value::String(digest))]))])
}

/// A delegation to `name`, signed by the release key for want of others.
pub(crate) fn delegation(name: &str, paths: &[&str], terminating: bool) -> Value {
    let signers = Signers::new(&[key(3).public()], 1);
    let paths = Value::Array(paths.iter().map(|path| Value::from(*path)).collect());
    let mut value = json::to_value(&signers).unwrap();
    let Value::Object(members) = &mut value else { panic!() };
    members.extend([
        ("name".to_owned(), name.into()),
        ("terminating".to_owned(), Value::Bool(terminating)),
        ("paths".to_owned(), paths),
    ]);
    value
}

pub(crate) fn delegations(roles: Vec<Value>) -> Value {
    let key = key(3).public();
    Value::from([
        ("keys", Value::Object([(key.id().to_string(), json::to_value(&key.to_key()).unwrap())].into())),
        ("roles", Value::Array(roles)),
    ])
}

/// A role, its delegations, its targets (path and mark).
type Node<'n> = (&'n str, Vec<Value>, &'n [(&'n str, u8)]);

fn publish(graph: &[Node<'_>]) -> Site {
    let mut site = Site::new();
    for (role, roles, targets) in graph {
        if *role != "targets" {
            let mut fresh = site.content["pins"].clone();
            let Value::Object(members) = &mut fresh else { panic!() };
            members.insert("targets".into(), Value::from([]));
            site.content.insert((*role).to_owned(), fresh);
        }
        for (path, mark) in *targets {
            *site.field(role, &["targets", path]) = target(*mark);
        }
        if !roles.is_empty() {
            *site.field(role, &["delegations"]) = delegations(roles.clone());
        }
        let signer = if *role == "targets" { key(2) } else { key(3) };
        site.put_signed(role, &[&signer]);
    }
    site.relist();
    site
}

fn refreshed(site: &mut Site) -> Client {
    let mut client = site.client();
    site.refresh(&mut client).unwrap();
    site.requests.clear();
    client
}

/// The mark of the target found.
fn look_up(site: &mut Site, path: &str) -> Result<Option<u8>, TrustError> {
    let mut client = refreshed(site);
    Ok(site.find(&mut client, path)?.map(|found| found.sha256().unwrap()[0]))
}

#[test]
fn images_and_pins_come_from_their_own_roles() {
    let mut site = Site::new();
    let mut client = refreshed(&mut site);
    let image = site.find(&mut client, "images/ha@1.json").unwrap().unwrap();
    assert_eq!(
        (image.path.as_str(), image.length, image.sha256().unwrap()),
        ("images/ha@1.json", 10, [1; 32])
    );
    assert_eq!(image.custom.unwrap().get("arch").unwrap().as_str(), Some("amd64"));
    assert_eq!(site.requests, ["1.releases.json"]);
    let pin = site.find(&mut client, "pins/lab.json").unwrap().unwrap();
    assert_eq!((pin.length, pin.sha256().unwrap()), (20, [2; 32]));
    assert_eq!(site.find(&mut client, "images/other@1.json").unwrap(), None);
    assert_eq!(site.find(&mut client, "elsewhere").unwrap(), None);
    assert_eq!(site.requests, ["1.releases.json", "1.pins.json"]);
    let paths: Vec<_> =
        client.targets_of("releases").unwrap().into_iter().map(|target| target.path).collect();
    assert_eq!(paths, ["images/ha@1.json"]);
}

#[test]
fn role_that_names_paths_of_another_is_not_believed() {
    for (role, path) in [("pins", "images/evil@1.json"), ("releases", "pins/evil.json")] {
        let mut site = Site::new();
        *site.field(role, &["targets", path]) = target(9);
        site.bump(role);
        site.put(role);
        site.relist();
        let mut client = refreshed(&mut site);
        assert_eq!(site.find(&mut client, path).unwrap(), None, "{role}");
        signing::load_all(&mut client, |wanted| Ok::<_, ()>(site.files.get(&wanted.name).cloned())).unwrap();
        assert_eq!(site.find(&mut client, path).unwrap(), None, "{role}");
        assert!(client.role(role).unwrap().targets.contains_key(path));
        assert!(client.targets_of(role).unwrap().iter().all(|target| target.path != path));
    }
}

#[test]
fn key_of_one_role_does_not_sign_for_another() {
    let mut site = Site::new();
    site.bump("releases");
    site.put_signed("releases", &[&key(4)]);
    site.relist();
    let mut client = refreshed(&mut site);
    let trusted = client.trusted().clone();
    let error = TrustError::Threshold { role: "releases".into(), needed: 1, valid: 0 };
    assert_eq!(site.find(&mut client, "images/ha@1.json"), Err(error));
    assert_eq!(client.trusted(), &trusted);
}

#[test]
fn version_and_expiry_of_a_delegated_role_are_checked() {
    let mut site = Site::new();
    let file = site.files["1.pins.json"].clone();
    *site.field("pins", &["version"]) = 2.into();
    site.files.insert("2.pins.json".into(), file);
    site.relist();
    let mut client = refreshed(&mut site);
    let error = TrustError::MixAndMatch { role: "pins".into(), listed_in: "snapshot", expected: 2, found: 1 };
    assert_eq!(site.find(&mut client, "pins/lab.json"), Err(error));

    *site.field("pins", &["expires"]) = Value::String(NOW.to_string());
    site.put("pins");
    site.relist();
    let mut client = refreshed(&mut site);
    let error = TrustError::Expired { role: "pins".into(), expired: NOW, now: NOW };
    assert_eq!(site.find(&mut client, "pins/lab.json"), Err(error));
}

#[test]
fn weak_key_of_a_delegation_is_refused() {
    let mut site = Site::new();
    let weak = Value::from([
        ("keytype", "ed25519".into()),
        ("scheme", "ed25519".into()),
        ("keyval", Value::from([("public", Value::String("00".repeat(32)))])),
    ]);
    let id = json::from_value::<signing::key::Key>(&weak).unwrap().id();
    *site.field("targets", &["delegations", "keys", id.as_str()]) = weak;
    site.put("targets");
    site.relist();
    let mut client = site.client();
    let outcome = site.refresh(&mut client);
    assert!(matches!(outcome, Err(TrustError::Key { source: KeyError::Weak(_), .. })), "{outcome:?}");
}

#[test]
fn first_delegation_wins_and_a_terminating_one_ends_the_search() {
    let roles = |terminating| {
        vec![delegation("first", &["x/*"], terminating), delegation("second", &["x/*", "y/*"], false)]
    };
    let empty: Node<'_> = ("first", vec![], &[("x/a", 1)]);
    let second: Node<'_> = ("second", vec![], &[("x/a", 2), ("x/b", 2), ("y/a", 2)]);
    let mut open = publish(&[empty.clone(), second.clone(), ("targets", roles(false), &[])]);
    assert_eq!(look_up(&mut open, "x/a"), Ok(Some(1)));
    assert_eq!(look_up(&mut open, "x/b"), Ok(Some(2)));
    let mut client = refreshed(&mut open);
    signing::load_all(&mut client, |wanted| Ok::<_, ()>(open.files.get(&wanted.name).cloned())).unwrap();
    let paths: Vec<_> = client.targets_of("second").unwrap().into_iter().map(|target| target.path).collect();
    assert_eq!(paths, ["x/b", "y/a"], "x/a belongs to the first");
    let mut terminating = publish(&[empty, second, ("targets", roles(true), &[])]);
    assert_eq!(look_up(&mut terminating, "x/a"), Ok(Some(1)));
    assert_eq!(look_up(&mut terminating, "x/b"), Ok(None));
    assert_eq!(terminating.requests, ["1.first.json"], "the later role is not even fetched");
    assert_eq!(look_up(&mut terminating, "y/a"), Ok(Some(2)));
}

/// A terminating delegation deep in the tree also cuts the siblings of its ancestors.
#[test]
fn search_is_depth_first() {
    let graph = |terminating| {
        publish(&[
            ("a1", vec![], &[]),
            ("b", vec![], &[("x/t", 2)]),
            ("a", vec![delegation("a1", &["x/*"], terminating)], &[]),
            ("targets", vec![delegation("a", &["x/*"], false), delegation("b", &["x/*"], false)], &[]),
        ])
    };
    let mut open = graph(false);
    assert_eq!(look_up(&mut open, "x/t"), Ok(Some(2)));
    assert_eq!(open.requests, ["1.a.json", "1.a1.json", "1.b.json"]);
    let mut terminating = graph(true);
    assert_eq!(look_up(&mut terminating, "x/t"), Ok(None));
    assert_eq!(terminating.requests, ["1.a.json", "1.a1.json"]);
}

#[test]
fn every_role_of_the_chain_must_cover_the_path() {
    let mut site = publish(&[
        ("inner", vec![], &[("x/deep/t", 1), ("y/t", 1)]),
        ("outer", vec![delegation("inner", &["y/*", "x/deep/*"], false)], &[]),
        ("targets", vec![delegation("outer", &["x/*", "x/deep/*"], false)], &[]),
    ]);
    assert_eq!(look_up(&mut site, "x/deep/t"), Ok(Some(1)));
    assert_eq!(look_up(&mut site, "y/t"), Ok(None));
}

#[test]
fn hash_prefixes_cover_paths_too() {
    // SHA-256 of "abc" is ba7816bf…
    let mut delegation = delegation("bins", &[], false);
    let Value::Object(members) = &mut delegation else { panic!() };
    members.remove("paths");
    members.insert("path_hash_prefixes".into(), Value::Array(vec!["00".into(), "ba7".into()]));
    let mut site =
        publish(&[("bins", vec![], &[("abc", 1), ("abd", 1)]), ("targets", vec![delegation], &[])]);
    assert_eq!(look_up(&mut site, "abc"), Ok(Some(1)));
    assert_eq!(look_up(&mut site, "abd"), Ok(None));
}

#[test]
fn cycles_end() {
    let mut site = publish(&[
        ("a", vec![delegation("b", &["x"], false), delegation("a", &["x"], false)], &[]),
        ("b", vec![delegation("a", &["x"], false)], &[]),
        ("targets", vec![delegation("a", &["x"], false)], &[]),
    ]);
    assert_eq!(look_up(&mut site, "x"), Ok(None));
    let mut client = refreshed(&mut site);
    signing::load_all(&mut client, |wanted| Ok::<_, ()>(site.files.get(&wanted.name).cloned())).unwrap();
    Client::offline(client.trusted().clone()).unwrap();
}

#[test]
fn search_and_depth_are_bounded() {
    let wide: Vec<Value> =
        (0..2_000).map(|number| delegation(&format!("r{number}"), &["x"], false)).collect();
    let names: Vec<String> = (0..40).map(|number| format!("r{number}")).collect();
    let mut graph: Vec<Node<'_>> = names.iter().map(|name| (name.as_str(), vec![], [].as_slice())).collect();
    graph.push(("targets", wide, &[]));
    let mut site = publish(&graph);
    assert_eq!(look_up(&mut site, "x"), Err(TrustError::TooManyDelegations { limit: 32 }));
    assert_eq!(site.requests.len(), 32);
    let mut client = refreshed(&mut site);
    assert_eq!(client.next_delegated(), Err(TrustError::TooManyDelegations { limit: 32 }));

    let chain: Vec<Vec<Value>> =
        (1..=40).map(|next| vec![delegation(&format!("r{next}"), &["x"], false)]).collect();
    let mut graph: Vec<Node<'_>> =
        names.iter().zip(chain).map(|(name, next)| (name.as_str(), next, [].as_slice())).collect();
    graph.push(("targets", vec![delegation("r0", &["x"], false)], &[]));
    let mut site = publish(&graph);
    assert_eq!(look_up(&mut site, "x"), Err(TrustError::TooManyDelegations { limit: 32 }));
    assert_eq!(site.requests.len(), 32);
}

#[test]
fn role_that_the_snapshot_does_not_list_is_not_fetched() {
    let mut site = publish(&[("targets", vec![delegation("ghost", &["x"], false)], &[])]);
    assert_eq!(look_up(&mut site, "x"), Err(TrustError::NotInSnapshot { role: "ghost".into() }));
    assert!(site.requests.is_empty());
}

#[test]
fn odd_role_names_are_quoted() {
    let name = "../x?#%\0";
    let mut site =
        publish(&[(name, vec![], &[("x", 7)]), ("targets", vec![delegation(name, &["x"], false)], &[])]);
    assert_eq!(look_up(&mut site, "x"), Ok(Some(7)));
    assert_eq!(site.requests, ["1...%2Fx%3F%23%25%00.json"]);
}

#[test]
fn malformed_delegations_are_refused() {
    let mut both = delegation("a", &["x"], false);
    let Value::Object(members) = &mut both else { panic!() };
    members.insert("path_hash_prefixes".into(), Value::Array(vec![]));
    let mut twice = delegation("a", &["x"], false);
    let Value::Object(members) = &mut twice else { panic!() };
    let Some(Value::Array(keyids)) = members.get_mut("keyids") else { panic!() };
    keyids.push(keyids[0].clone());
    let keyid = key(3).public().id();
    let cases = [
        (vec![twice], format!("key id {keyid} is listed twice for one role")),
        (
            vec![delegation("a", &["x"], false), delegation("a", &["y"], false)],
            "delegates twice to \"a\"".into(),
        ),
        (vec![delegation("root", &["x"], false)], "delegates to the top-level role \"root\"".into()),
        (vec![delegation("", &["x"], false)], "a delegated role's name is 0 bytes long".into()),
        (
            vec![delegation(&"n".repeat(65_536), &["x"], false)],
            "a delegated role's name is 65536 bytes long".into(),
        ),
        (vec![both], "delegation to \"a\" needs either paths or path_hash_prefixes".into()),
    ];
    for (roles, expected) in cases {
        let mut site = publish(&[("targets", roles, &[])]);
        let mut client = site.client();
        let error = TrustError::Malformed { role: "targets".into(), reason: expected };
        assert_eq!(site.refresh(&mut client), Err(error));
    }
}

/// Two delegators share a role, but only the first one's key signed it.
#[test]
fn each_delegator_checks_the_shared_role_itself() {
    let mut other = delegation("shared", &["y"], false);
    let Value::Object(members) = &mut other else { panic!() };
    members.insert("keyids".into(), json::to_value(&Signers::new(&[key(88).public()], 1).keyids).unwrap());
    let mut site = publish(&[
        ("shared", vec![], &[("x", 1), ("y", 1)]),
        ("second", vec![other], &[]),
        ("targets", vec![delegation("shared", &["x"], false), delegation("second", &["y"], false)], &[]),
    ]);
    let mut client = refreshed(&mut site);
    assert!(site.find(&mut client, "x").unwrap().is_some());
    let error = TrustError::Threshold { role: "shared".into(), needed: 1, valid: 0 };
    assert_eq!(site.find(&mut client, "y"), Err(error));
}

/// The typed shapes read what [`delegation`] builds, so that these tests test what they say.
#[test]
fn fixture_is_well_formed() {
    let value = delegations(vec![delegation("a", &["x"], true)]);
    let typed: Delegations = json::from_value(&value).unwrap();
    let Delegation { name, terminating, paths, extra, .. } = &typed.roles[0];
    assert_eq!(
        (name.as_str(), *terminating, paths.as_deref()),
        ("a", true, Some(["x".to_owned()].as_slice()))
    );
    assert!(extra.is_empty());
    assert_eq!(json::to_value(&typed).unwrap(), value);
}

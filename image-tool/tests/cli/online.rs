//! A server that signs snapshot and timestamp: what waits, what is completed there, and what is taken over from there.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use image_format::repository::{Renewal, load_view};
use image_format::store::Store;

use crate::image::Fake;
use crate::place::{Place, says, snapshot};
use crate::publish::copy;
use crate::server::{Fake as Server, Fault, TOKEN};

/// A repository without keys of snapshot and timestamp, and the server that has them.
fn online() -> (Place, Server) {
    let place = Place::empty();
    let server = Server::start(&place.path("published"));
    fs::write(place.path("online.json"), server.sign()).unwrap();
    fs::write(place.path("token"), TOKEN).unwrap();
    let token = place.path("token").display().to_string();
    let init =
        ["init", "--single-key", "--online-keys", "online.json", "--remote", &server.url, "--token-file"];
    place.ok(&[init.as_slice(), &[&token]].concat());
    (place, server)
}

/// The same with `ha@1` published, and a second admin who has the same keys.
fn two() -> (Place, Place, Server) {
    let (place, server) = online();
    place.signed(&Fake::new("ha@1", 1, 10));
    place.ok(&["publish"]);
    let other = Place::empty();
    copy(&place.repo(), &other.repo());
    (place, other, server)
}

/// Version of a role in a store.
fn version(store: &Path, role: &str) -> u64 {
    load_view(&Store::open(store).unwrap()).unwrap().unwrap().versions[role]
}

fn waiting(place: &Place) -> usize {
    fs::read_dir(place.repo().join("pending")).map_or(0, Iterator::count)
}

/// Both sides have the same, and it is whole.
fn agreed(place: &Place) {
    assert_eq!(waiting(place), 0);
    place.ok(&["verify", "--all"]);
    place.ok(&["verify", "--all", "--store", &place.store()]);
    for role in ["root", "targets", "releases", "pins", "snapshot", "timestamp"] {
        let (here, there) =
            (version(&place.repo().join("store"), role), version(&place.path("published"), role));
        assert_eq!(here, there, "{role}");
    }
}

#[test]
fn a_first_publication_is_completed_by_an_empty_server() {
    let (place, server) = online();
    for role in ["snapshot", "timestamp"] {
        assert!(!place.repo().join(format!("keys/{role}.pem")).exists());
    }
    assert_eq!(waiting(&place), 1, "the first metadata");
    assert_eq!(place.json(&["list"]), serde_json::json!([]));
    place.signed(&Fake::new("ha@1", 1, 10));
    place.signed(&Fake::new("ha@2", 2, 12));
    assert_eq!(waiting(&place), 3);
    let list = place.json(&["list"]);
    assert_eq!((&list[0]["stage"], &list[0]["published"]), (&"signed".into(), &false.into()));
    // A pin can be signed before anything is published, and waits too.
    says(
        &place.refused(&["pin", "web", "ha@1"]),
        &["nothing was signed", "ha@1 is signed here but not published"],
    );
    place.ok(&["pin", "web", "ha@1", "--no-publish"]);
    says(&place.refused(&["publish", "ha@1"]), &["ha@2 would be published too"]);

    let report = place.json(&["publish"]);
    assert_eq!((&report["changed"], report["images"].as_array().unwrap().len()), (&true.into(), 2));
    agreed(&place);
    assert_eq!(
        report["new_patches"],
        serde_json::json!(["ha@2"]),
        "for nodes that run what web is pinned to"
    );
    assert_eq!(version(&place.path("published"), "releases"), 4, "each change has a version of its own");
    let list = place.json(&["list"]);
    assert_eq!((&list[0]["published"], &list[0]["pinned_by"][0]), (&true.into(), &"web".into()));
    server.seen();
    assert_eq!(place.json(&["publish"])["changed"], false);
    assert!(server.seen().iter().all(|(_, path, _)| path != "/v1/commit"), "the server says what it has");
}

#[test]
fn changes_go_on_however_often_the_server_has_signed_since() {
    let (place, _other, server) = two();
    for (round, args) in [
        ["pin", "web", "ha@1"].as_slice(),
        &["assign", "--default", "web"],
        &["assign", "52-54-00-12-34-56", "web"],
        &["unassign", "52-54-00-12-34-56"],
        &["renew"],
        &["unpin", "web"],
    ]
    .into_iter()
    .enumerate()
    {
        for _ in 0..round {
            server.resign(Renewal::Timestamp);
            server.resign(Renewal::Snapshot);
            server.resign(Renewal::Timestamp);
        }
        let before = version(&place.path("published"), "timestamp");
        let report = place.json(args);
        assert_eq!(report["published"], server.url, "{args:?}");
        if args[0] == "renew" {
            // A year is left, and the rest is the server's: there was nothing to sign.
            assert_eq!(version(&place.path("published"), "timestamp"), before);
        } else {
            assert_eq!(version(&place.path("published"), "timestamp"), before + 1);
            agreed(&place);
        }
    }
    // Another image, long after.
    place.signed(&Fake::new("ha@2", 2, 12));
    server.resign(Renewal::Snapshot);
    place.ok(&["publish"]);
    agreed(&place);
}

#[test]
fn what_is_signed_here_only_waits_in_order() {
    let (place, _other, server) = two();
    place.ok(&["pin", "web", "ha@1", "--no-publish"]);
    place.ok(&["pin", "db", "ha@1", "--no-publish"]);
    place.ok(&["unpin", "web", "--no-publish"]);
    assert_eq!(waiting(&place), 3);
    assert_eq!(place.json(&["list"])[0]["pinned_by"], serde_json::json!(["db"]));
    server.resign(Renewal::Snapshot);
    assert_eq!(place.json(&["publish"])["changed"], true);
    agreed(&place);
    let view = load_view(&Store::open(place.path("published")).unwrap()).unwrap().unwrap();
    assert_eq!(view.pins.keys().map(ToString::to_string).collect::<Vec<_>>(), ["db"]);
    assert_eq!(view.versions["pins"], 4, "the newest of them, and it alone");
    assert!(!place.path("published/tuf/metadata/3.pins.json").exists());
    // The next change goes on from there.
    place.ok(&["pin", "web", "ha@1"]);
    agreed(&place);
}

#[test]
fn two_admins_never_overwrite_each_other() {
    let (place, other, server) = two();
    let to =
        ["--to", &server.url, "--token-file", &place.path("token").display().to_string()].map(str::to_owned);
    let with = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).chain(to.clone()).collect::<Vec<_>>();
    // Behind: the other one has published a pin.
    place.ok(&["pin", "web", "ha@1"]);
    let before = (snapshot(&other.repo()), snapshot(&place.path("published")));
    says(
        &other.refused(&with(&["pin", "db", "ha@1"])),
        &["nothing was signed", "newer metadata", "imgtool pull"],
    );
    assert_eq!((snapshot(&other.repo()), snapshot(&place.path("published"))), before);
    other.ok(&["pull"]);
    assert_eq!(other.json(&with(&["pin", "db", "ha@1"]))["changed"], true);
    place.ok(&["pull"]);
    agreed(&place);

    // Forked: one has signed once and published; the other one has signed twice, so that his version is higher.
    other.ok(&["pin", "web", "ha@1", "--disk", "vda", "--no-publish"]);
    other.ok(&["pin", "lab", "ha@1", "--no-publish"]);
    place.ok(&["pin", "store", "ha@1"]);
    let before = (snapshot(&other.repo()), snapshot(&place.path("published")));
    for args in [["publish"].as_slice(), &["pin", "x", "ha@1"], &["unpin", "db"]] {
        says(
            &other.refused(&with(args)),
            &["conflict", "pins metadata of version 4", "imgtool pull --discard"],
        );
    }
    says(&other.refused(&["pull"]), &["do not follow", "imgtool pull --discard"]);
    assert_eq!((snapshot(&other.repo()), snapshot(&place.path("published"))), before);
    other.ok(&["pull", "--discard"]);
    assert_eq!(waiting(&other), 0);
    other.ok(&with(&["pin", "lab", "ha@1"]));
    place.ok(&["pull"]);
    agreed(&place);
    let view = load_view(&Store::open(place.path("published")).unwrap()).unwrap().unwrap();
    let groups: Vec<String> = view.pins.keys().map(ToString::to_string).collect();
    assert_eq!(groups, ["db", "lab", "store", "web"], "nobody's pin is lost");
}

/// The look at the server and the commit are two steps: what comes in between is refused by the server itself.
#[test]
fn a_commit_on_a_state_that_is_gone_is_refused_by_the_server() {
    let (place, other, server) = two();
    let names = |place: &Place| place.path("published/tuf/metadata");
    place.ok(&["pin", "web", "ha@1", "--no-publish"]);
    other.ok(&["pin", "db", "ha@1", "--no-publish"]);
    let change = |place: &Place| -> fleet_protocol::Commit {
        serde_json::from_slice(&fs::read(place.repo().join("pending/0001.json")).unwrap()).unwrap()
    };
    let base = image_format::Sha256::of(&fs::read(names(&place).join("1.pins.json")).unwrap());
    let based = |mut commit: fleet_protocol::Commit| {
        commit.base.insert("pins".into(), base);
        serde_json::to_vec(&commit).unwrap()
    };
    assert_eq!(server.commit(&based(change(&place))).0, 200);
    let before = snapshot(&place.path("published"));
    let (status, text) = server.commit(&based(change(&other)));
    assert_eq!(status, 409, "{text}");
    says(&text, &["pins: the change was made on the file with SHA-256", &base.to_string(), "somebody else"]);
    assert_eq!(snapshot(&place.path("published")), before);
    // The same again is what is there.
    assert_eq!(server.commit(&based(change(&place))).0, 200);
    assert_eq!(snapshot(&place.path("published")), before);
}

#[test]
fn a_lost_answer_is_settled_by_the_next_command() {
    let (place, _other, server) = two();
    server.fault("/v1/commit", Fault::Hangup { after_work: true });
    place.ok(&["pin", "web", "ha@1"]);
    agreed(&place);
    for last in [false, false, false, false, false, true] {
        server.fault("/v1/commit", Fault::Hangup { after_work: last });
    }
    says(&place.refused(&["pin", "db", "ha@1"]), &["signed here; not known whether", "imgtool publish"]);
    assert_eq!(waiting(&place), 1);
    server.resign(Renewal::Timestamp);
    assert_eq!(place.json(&["publish"])["changed"], false);
    agreed(&place);
    // None of the tries had its effect: it still waits, and goes along with the next change.
    for _ in 0..6 {
        server.fault("/v1/commit", Fault::Hangup { after_work: false });
    }
    place.refused(&["unpin", "db"]);
    assert_eq!(waiting(&place), 1);
    place.ok(&["assign", "--default", "web"]);
    agreed(&place);
    let view = load_view(&Store::open(place.path("published")).unwrap()).unwrap().unwrap();
    assert!(!view.pins.contains_key(&"db".parse().unwrap()));
}

#[test]
fn a_place_that_does_not_sign_takes_nothing() {
    let (place, server) = online();
    place.signed(&Fake::new("ha@1", 1, 10));
    let dir = place.path("elsewhere").display().to_string();
    says(&place.refused(&["publish", "--to", &dir]), &["does not sign snapshot and timestamp"]);
    place.ok(&["publish"]);
    let before = snapshot(&place.repo());
    says(
        &place.refused(&["pin", "web", "ha@1", "--to", &dir]),
        &["nothing was signed", "does not sign snapshot and timestamp"],
    );
    // A server whose keys the root does not list.
    server.sign();
    let error = place.refused(&["pin", "web", "ha@1"]);
    says(&error, &["nothing was changed, here or there", "refused"]);
    assert_eq!(snapshot(&place.repo()), before);
}

/// Killed at any moment, both sides are whole, and one command brings them together.
#[test]
fn a_killed_pin_leaves_two_sides_that_come_together() {
    let (place, _other, server) = two();
    let begin = std::time::Instant::now();
    place.ok(&["pin", "web", "ha@1"]);
    let whole = begin.elapsed();
    for step in 0..14u32 {
        let disk = format!("disk{step}");
        let args = ["pin", "web", "ha@1", "--disk", &disk];
        let mut child = place.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The moment of the kill is what is tested; no event stands for it.
        std::thread::sleep(whole * step / 12);
        child.kill().unwrap();
        child.wait().unwrap();
        place.ok(&["verify", "--all"]);
        place.ok(&["verify", "--all", "--store", &place.store()]);
        let output = place.command(&["publish"]).output().unwrap();
        if !output.status.success() {
            says(&String::from_utf8_lossy(&output.stderr), &["newer metadata", "imgtool pull"]);
            place.ok(&["pull"]);
            assert_eq!(place.json(&["publish"])["changed"], false);
        }
        server.seen();
    }
    place.ok(&["pin", "web", "ha@1", "--disk", "vda"]);
    agreed(&place);
}

/// From an admin who signs everything to a server that signs what is current, and back.
#[test]
fn snapshot_and_timestamp_are_handed_over_by_a_new_root() {
    let place = Place::empty();
    let server = Server::start(&place.path("published"));
    fs::write(place.path("token"), TOKEN).unwrap();
    let token = place.path("token").display().to_string();
    place.ok(&["init", "--single-key", "--remote", &server.url, "--token-file", &token]);
    place.signed(&Fake::new("ha@1", 1, 10));
    // The server has its keys already; as long as the root does not list them, all goes on as before.
    let list: fleet_protocol::publish::OnlineKeyList = serde_json::from_str(&server.sign()).unwrap();
    place.ok(&["publish"]);
    place.ok(&["pin", "web", "ha@1"]);
    agreed(&place);

    let mut prepare: Vec<String> = ["root", "prepare", "-o", "hand-over.json"].map(str::to_owned).into();
    for key in &list.keys {
        let file = place.path(&format!("{}.pub", key.role));
        fs::write(&file, &key.public_pem).unwrap();
        prepare.extend(["--add-key".to_owned(), format!("{}={}", key.role, file.display())]);
        prepare.extend(["--remove-key".to_owned(), format!("{0}={0}", key.role)]);
    }
    place.ok(&prepare);
    place.ok(&["root", "sign", "--yes", "hand-over.json"]);
    place.ok(&["root", "commit", "hand-over.json"]);
    agreed(&place);
    assert_eq!(version(&place.path("published"), "root"), 2);
    // The old keys may lie there or not: they sign nothing any more.
    place.ok(&["pin", "db", "ha@1"]);
    for role in ["snapshot", "timestamp"] {
        fs::remove_file(place.repo().join(format!("keys/{role}.pem"))).unwrap();
    }
    server.resign(Renewal::Snapshot);
    place.ok(&["unpin", "db"]);
    agreed(&place);

    // A directory cannot sign: the way back is keys of one's own.
    let back = ["root", "prepare", "-o", "back.json"].map(str::to_owned);
    let mut back: Vec<String> = back.into();
    for (key, role) in list.keys.iter().map(|key| (key, &key.role)) {
        let made = place.json(&["key", "new", role]);
        back.extend(["--add-key".to_owned(), format!("{role}={}", made["file"].as_str().unwrap())]);
        back.extend(["--remove-key".to_owned(), format!("{role}={}", key.keyid)]);
    }
    place.ok(&back);
    place.ok(&["root", "sign", "--yes", "back.json"]);
    place.ok(&["root", "commit", "back.json"]);
    agreed(&place);
    place.ok(&["renew"]);
    agreed(&place);
    place.ok(&["publish", "--to", &place.path("copy").display().to_string()]);
}

//! Signing in steps: three directories stand for three machines that have a key, the first root, and no repository.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use image_format::Sha256;
use serde_json::{Value, json};

use crate::image::Fake;
use crate::place::{Place, says, snapshot, text};
use crate::server::{Fake as Server, TOKEN};

/// A machine without a repository.
struct Machine<'p> {
    place: &'p Place,
    dir: PathBuf,
}

impl Machine<'_> {
    fn run(&self, args: &[&str]) -> Output {
        let mut command = self.place.command(args);
        command.env_remove("BASCULE_REPO").current_dir(&self.dir).output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        String::from_utf8(output.stderr).unwrap()
    }
}

/// A repository whose keys of root and targets are on three machines.
fn three_machines(place: &Place) -> [Machine<'_>; 3] {
    place.ok(&["init"]);
    [1, 2, 3].map(|number| {
        let dir = place.path(&format!("machine-{number}"));
        fs::create_dir(&dir).unwrap();
        for role in ["root", "targets"] {
            let name = format!("{role}-{number}.pem");
            fs::rename(place.repo().join("keys").join(&name), dir.join(&name)).unwrap();
        }
        fs::copy(place.repo().join("root.json"), dir.join("root.json")).unwrap();
        Machine { place, dir }
    })
}

fn version(place: &Place, role: &str) -> u64 {
    let status = place.json(&["trust", "status"]);
    let roles = status["roles"].as_array().unwrap();
    roles.iter().find(|row| row["role"] == role).unwrap()["version"].as_u64().unwrap()
}

fn keyid(place: &Place, file: &str) -> String {
    place.json(&["key", "show", file])["keyid"].as_str().unwrap().to_owned()
}

#[test]
fn a_stolen_root_key_is_replaced_by_the_holders_of_the_others() {
    let place = Place::empty();
    let [one, two, three] = three_machines(&place);
    two.ok(&["key", "new", "root", "--out", "root-4.pem"]);
    fs::copy(two.dir.join("root-4.pub"), place.path("root-4.pub")).unwrap();
    let (old, new) = (keyid(&place, "repo/keys/root-2.pub"), keyid(&place, "root-4.pub"));
    let shown = place.ok(&[
        "root",
        "prepare",
        "--remove-key",
        "root=root-2",
        "--add-key",
        "root=root-4.pub",
        "-o",
        "change.json",
    ]);
    says(
        &shown,
        &[
            "root metadata version 1 → 2",
            "2 of 3 keys sign root (before: 2 of 3)",
            &format!("+ new key     {new}"),
            &format!("- no longer   {old} root-2"),
            "2 of 3 keys sign targets (as before)",
            "root, by the keys of the root before: 0 of 2 signatures",
            "Next: imgtool root sign change.json",
        ],
    );
    let sign = |machine: &Machine<'_>, key: &str| {
        machine.ok(&["root", "sign", "../change.json", "--root", "root.json", "--key", key, "--yes"])
    };
    let before = fs::read(place.path("change.json")).unwrap();
    let asked =
        one.refused(&["root", "sign", "../change.json", "--root", "root.json", "--key", "root-1.pem"]);
    says(&asked, &["nothing was signed", "no terminal to ask", "--yes"]);
    assert_eq!(fs::read(place.path("change.json")).unwrap(), before);
    says(
        &one.refused(&["root", "sign", "../change.json", "--key", "root-1.pem", "--yes"]),
        &["nothing is trusted here", "--root"],
    );
    says(
        &one.refused(&["root", "sign", "../change.json", "--root", "root.json", "--yes"]),
        &["expected keys", "--key, --ssh-agent or --command"],
    );
    says(
        &one.refused(&[
            "root",
            "sign",
            "../change.json",
            "--root",
            "root.json",
            "--key",
            "targets-1.pem",
            "--yes",
        ]),
        &["targets-1.pem: key", "may not sign this", &old],
    );
    says(
        &sign(&one, "root-1.pem"),
        &[
            "- no longer",
            "root: 1 of 2 signatures",
            "still needed: one of",
            "Next: take it to the holder of another key",
        ],
    );
    let repository = snapshot(&place.repo());
    says(
        &place.refused(&["root", "commit", "change.json"]),
        &[
            "nothing was changed: signatures are missing",
            "root, by the keys of the root before: 1 of 2 signatures (root-1",
            "root-3",
        ],
    );
    assert_eq!(snapshot(&place.repo()), repository);
    says(&sign(&three, "root-3.pem"), &["Complete", "imgtool root commit"]);
    says(&place.ok(&["root", "commit", "change.json"]), &["Committed"]);
    assert_eq!((version(&place, "root"), version(&place, "targets")), (2, 1));

    // Who trusts the newest root is not led back: the old proposal would fork what is there.
    let newest = place.repo().join("store/tuf/metadata/2.root.json");
    let forked = [
        "root",
        "sign",
        "../change.json",
        "--root",
        newest.to_str().unwrap(),
        "--key",
        "root-1.pem",
        "--yes",
    ];
    says(&one.refused(&forked), &["has version 2, expected 3", "made on another state"]);

    // The old key is worth nothing now, the new one counts; who knows only the first root follows.
    place.ok(&["root", "prepare", "--renew", "-o", "renew.json"]);
    let refused = two.refused(&[
        "root",
        "sign",
        "../renew.json",
        "--root",
        "root.json",
        "--key",
        "root-2.pem",
        "--yes",
    ]);
    says(&refused, &[&format!("key {old} may not sign this"), &new]);
    for (machine, key) in
        [(&two, "root-4.pem"), (&two, "targets-2.pem"), (&one, "root-1.pem"), (&one, "targets-1.pem")]
    {
        machine.ok(&["root", "sign", "../renew.json", "--root", "root.json", "--key", key, "--yes"]);
    }
    place.ok(&["root", "commit", "renew.json"]);
    assert_eq!((version(&place, "root"), version(&place, "targets")), (3, 2));
    says(
        &place.refused(&["root", "commit", "renew.json"]),
        &["nothing was changed", "has version 3, expected 4", "made on another state"],
    );
}

/// Each role's key is replaced; then the old one alone is refused, and the new one alone is enough.
#[test]
fn every_role_is_rotated_and_the_old_key_is_refused() {
    let place = Place::new();
    let keys = place.repo().join("keys");
    place.signed(&Fake::new("ha@1", 1, 4));
    for role in ["timestamp", "snapshot", "pins", "releases", "targets", "root"] {
        let (old, new) = (keys.join(format!("{role}.pem")), keys.join(format!("{role}-1.pem")));
        place.ok(&["key", "new", role]);
        let (add, remove) = (format!("{role}={}", new.display()), format!("{role}={role}"));
        let file = format!("{role}.json");
        place.ok(&["root", "prepare", "--add-key", &add, "--remove-key", &remove, "-o", &file]);
        place.ok(&["root", "sign", &file, "--yes"]);
        place.ok(&["root", "commit", &file]);
        // The old key alone.
        let away = place.path("away.pem");
        fs::rename(&new, &away).unwrap();
        let attempt: &[&str] = match role {
            "pins" => &["pin", "web", "ha@1"],
            "releases" => &["sign", "ha@2"],
            "targets" => &["root", "commit", "try.json"],
            "root" => &["root", "sign", "try.json", "--yes"],
            _ => &["assign", "--default", role],
        };
        if role == "releases" {
            place.build(&Fake::new("ha@2", 2, 4));
        }
        if role == "targets" || role == "root" {
            let _ = fs::remove_file(place.path("try.json"));
            let change = format!("{role}={}", place.path("away.pub").display());
            fs::copy(keys.join("releases.pub"), place.path("away.pub")).unwrap();
            place.ok(&["root", "prepare", "--add-key", &change, "-o", "try.json"]);
        }
        let before = snapshot(&place.repo());
        if role == "targets" {
            // Root signs, targets cannot.
            let output = place.command(&["root", "sign", "try.json", "--yes"]).output().unwrap();
            assert!(output.status.success(), "{}", text(&output));
            says(
                &String::from_utf8_lossy(&output.stderr),
                &["not signed here", "wrong key for role targets"],
            );
            says(
                &place.refused(attempt),
                &["signatures are missing", "targets: 0 of 1 signatures", "root: 1 of 1"],
            );
        } else {
            says(&place.refused(attempt), &["nothing was signed", &format!("wrong key for role {role}")]);
        }
        assert_eq!(snapshot(&place.repo()), before, "{role}");
        // The new key alone.
        fs::rename(&away, &new).unwrap();
        fs::remove_file(&old).unwrap();
        let again: Vec<&str> = if attempt[0] == "root" { vec!["renew"] } else { attempt.to_vec() };
        place.ok(&again);
    }
    assert_eq!(version(&place, "root"), 5);
    place.ok(&["verify", "--all"]);
    // Somebody who has only the first root follows all of it.
    let store = place.store();
    place.ok(&["publish", "--to", &store]);
    place.ok(&["trust", "status", "--to", &store]);
}

#[test]
fn two_admins_sign_copies_of_one_pin() {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 4));
    place.signed(&Fake::new("ha@2", 2, 4));
    place.ok(&["pin", "web", "ha@1"]);
    place.ok(&["key", "new", "pins"]);
    place.ok(&[
        "root",
        "prepare",
        "--add-key",
        "pins=repo/keys/pins-1.pub",
        "--threshold",
        "pins=2",
        "-o",
        "two.json",
    ]);
    let shown = place.ok(&["root", "sign", "two.json", "--yes"]);
    says(
        &shown,
        &[
            "targets metadata version 1 → 2",
            "2 of 2 keys sign pins (before: 1 of 1)",
            "pins: 2 of 2 signatures",
        ],
    );
    place.ok(&["root", "commit", "two.json"]);

    // Each admin has one key.
    let away = place.path("bob.pem");
    fs::rename(place.repo().join("keys/pins-1.pem"), &away).unwrap();
    says(
        &place.refused(&["pin", "web", "ha@2"]),
        &["nothing was signed", "pins needs 2 of its keys to sign, 1 are here", "imgtool pins prepare"],
    );
    let shown = place.ok(&["pins", "prepare", "-o", "pin.json", "set", "web", "ha@2"]);
    let manifest = place.json(&["list"])[1]["manifest"].as_str().map(str::to_owned);
    says(
        &shown,
        &["pins metadata version 3 → 4", "group web runs ha@1 → ha@2, manifest ", "pins: 0 of 2 signatures"],
    );
    assert!(manifest.is_none_or(|manifest| shown.contains(&manifest)), "{shown}");
    fs::copy(place.path("pin.json"), place.path("bob.json")).unwrap();
    place.ok(&["pins", "sign", "pin.json", "--yes"]);
    let root = place.repo().join("root.json");
    place.ok(&[
        "pins",
        "sign",
        "bob.json",
        "--yes",
        "--root",
        root.to_str().unwrap(),
        "--key",
        away.to_str().unwrap(),
    ]);
    for file in ["pin.json", "bob.json"] {
        says(
            &place.refused(&["pins", "commit", file]),
            &["signatures are missing", "pins: 1 of 2 signatures"],
        );
    }
    says(
        &place.refused(&["releases", "show", "pin.json"]),
        &["expected a proposal of `imgtool releases prepare`", "changes pins"],
    );
    says(&place.ok(&["pins", "commit", "pin.json", "bob.json"]), &["Committed"]);
    assert_eq!(version(&place, "pins"), 4);
    says(
        &place.refused(&["pins", "commit", "pin.json", "two.json"]),
        &["two.json", "expected copies of one proposal"],
    );
}

#[test]
fn images_assignments_and_their_ends_are_told_in_words() {
    let place = Place::new();
    place.build(&Fake::new("ha@1", 7, 4));
    let shown = place.ok(&["releases", "prepare", "ha@1", "-o", "ha1.json"]);
    says(&shown, &["releases metadata version 1 → 2", "+ image ha@1, manifest ", "release counter 7"]);
    says(
        &place.refused(&["pins", "prepare", "-o", "p.json", "set", "web", "ha@1"]),
        &["built but not signed"],
    );
    place.ok(&["releases", "sign", "ha1.json", "--yes"]);
    place.ok(&["releases", "commit", "ha1.json"]);
    says(&place.refused(&["releases", "prepare", "ha@1", "-o", "again.json"]), &["nothing to propose"]);
    for (edit, words) in [
        (["assign", "--default", "web"].as_slice(), "every other node: no group → group web"),
        (&["assign", "52:54:00:12:34:56", "db"], "52-54-00-12-34-56: no group → group db"),
        (&["unassign", "52:54:00:12:34:56"], "52-54-00-12-34-56: group db → no group"),
        (&["set", "web", "ha@1", "--disk", "vda", "--wipe"], "group web runs nothing → ha@1, manifest "),
        (&["unset", "web"], "group web runs ha@1 → follows nothing any more"),
        (&["renew"], "nothing else changes: signed anew"),
    ] {
        let _ = fs::remove_file(place.path("p.json"));
        let args = [["pins", "prepare", "-o", "p.json"].as_slice(), edit].concat();
        says(&place.ok(&args), &[words]);
        place.ok(&["pins", "sign", "p.json", "--yes"]);
        place.ok(&["pins", "commit", "p.json"]);
    }
    says(&place.refused(&["pins", "prepare", "-o", "p.json", "renew"]), &["p.json exists already"]);
    says(&place.refused(&["pins", "prepare", "-o", "q.json", "unset", "web"]), &["group web has no pin"]);
}

#[test]
fn wrong_rules_are_refused_before_anything_is_written() {
    let place = Place::new();
    place.ok(&["key", "new", "pins"]);
    let before = snapshot(&place.repo());
    for (args, expected) in [
        (["--threshold", "pins=2"].as_slice(), "cannot need 2 signatures of 1 keys"),
        (&["--threshold", "pins=0"], "cannot need 0 signatures"),
        (&["--threshold", "pins=x"], "expected a number"),
        (&["--remove-key", "pins=pins"], "cannot need 1 signatures of 0 keys"),
        (&["--remove-key", "pins=releases"], "no key of pins; its keys are"),
        (&["--remove-key", "pins="], "expected a value"),
        (&["--add-key", "pins=repo/keys/pins.pub"], "signs pins already"),
        (&["--add-key", "pins=/nonexistent.pub"], "/nonexistent.pub"),
        (&["--add-key", "boss=repo/keys/pins.pub"], "unknown role"),
        (&["--threshold", "pins=1", "--threshold", "pins=1"], "found several"),
        (&[], "nothing to propose"),
    ] {
        let args = [["root", "prepare", "-o", "x.json"].as_slice(), args].concat();
        let output = place.command(&args).output().unwrap();
        assert!(!output.status.success());
        says(&String::from_utf8_lossy(&output.stderr), &[expected]);
        assert!(!place.path("x.json").exists(), "{args:?}");
    }
    assert_eq!(snapshot(&place.repo()), before);
}

/// Changes a proposal as somebody would on its way.
fn tamper(place: &Place, edit: impl Fn(&mut Value)) {
    let mut file: Value = serde_json::from_slice(&fs::read(place.path("good.json")).unwrap()).unwrap();
    edit(&mut file);
    fs::write(place.path("bad.json"), file.to_string()).unwrap();
}

/// The same, inside the proposed metadata of a role.
fn tamper_signed(place: &Place, role: &str, edit: impl Fn(&mut Value)) {
    tamper(place, |file| {
        let mut metadata: Value = serde_json::from_str(file["roles"][role].as_str().unwrap()).unwrap();
        edit(&mut metadata["signed"]);
        file["roles"][role] = metadata.to_string().into();
    });
}

/// Lets one more key sign root.
fn also_root(root: &mut Value, key: Value) {
    let key: signing::key::Key = serde_json::from_value(key).unwrap();
    let id = key.id().to_string();
    root["keys"][&id] = serde_json::to_value(key).unwrap();
    root["roles"]["root"]["keyids"].as_array_mut().unwrap().push(id.into());
}

fn first_key(object: &Value) -> String {
    object.as_object().unwrap().keys().next().unwrap().clone()
}

/// What a proposal that hides something is told, to a person with a repository and to one with only a root.
fn refused_everywhere(place: &Place, verb: &str, expected: &str) {
    let root = place.repo().join("root.json");
    let before = fs::read(place.path("bad.json")).unwrap();
    for more in
        [["--yes"].as_slice(), &["--yes", "--root", root.to_str().unwrap(), "--key", "repo/keys/root.pem"]]
    {
        let args = [[verb, "sign", "bad.json"].as_slice(), more].concat();
        says(&place.refused(&args), &[expected]);
    }
    says(&place.refused(&[verb, "show", "bad.json"]), &[expected]);
    says(&place.refused(&[verb, "commit", "bad.json"]), &[expected]);
    assert_eq!(fs::read(place.path("bad.json")).unwrap(), before);
}

/// A role, what is done to its metadata on the way, and what the next person is told.
type Case = (&'static str, fn(&mut Value), &'static str);

#[test]
fn a_root_proposal_hides_nothing() {
    let place = Place::new();
    place.ok(&["key", "new", "pins"]);
    place.ok(&["root", "prepare", "--add-key", "pins=repo/keys/pins-1.pub", "--renew", "-o", "good.json"]);
    let repository = snapshot(&place.repo());
    let cases: &[Case] = &[
        ("root", |root| root["version"] = 1.into(), "has version 1, expected 2"),
        ("root", |root| root["version"] = 3.into(), "has version 3, expected 2"),
        ("root", |root| root["_type"] = "targets".into(), "type"),
        ("root", |root| root["x"] = 1.into(), "neither keys, thresholds nor dates"),
        ("root", |root| root["roles"]["root"]["x"] = 1.into(), "cannot be shown"),
        ("root", |root| root["consistent_snapshot"] = false.into(), "neither keys, thresholds nor dates"),
        ("root", |root| root["expires"] = "2020-01-01T00:00:00Z".into(), "has expired"),
        ("root", |root| root["roles"]["root"]["threshold"] = 2.into(), "asks for 2 signatures of 1 keys"),
        (
            "root",
            |root| {
                let id = first_key(&root["keys"]);
                root["keys"].as_object_mut().unwrap().remove(&id);
            },
            "does not hold key",
        ),
        (
            "root",
            |root| {
                let id = first_key(&root["keys"]);
                let mut key = root["keys"][&id].clone();
                key["note"] = "trust me".into();
                also_root(root, key);
            },
            "says more than its type and its public half",
        ),
        (
            "root",
            |root| also_root(root, json!({"keytype": "rsa", "scheme": "x", "keyval": {"public": "x"}})),
            "is not an Ed25519 key",
        ),
        (
            "root",
            |root| {
                let used = root["roles"]["timestamp"]["keyids"][0].clone();
                root["roles"]["snapshot"]["keyids"] = json!([used]);
            },
            "which has no role",
        ),
        (
            "targets",
            |targets| targets["delegations"]["roles"][1]["paths"] = json!(["images/*"]),
            "neither keys",
        ),
        (
            "targets",
            |targets| targets["delegations"]["roles"][0]["terminating"] = false.into(),
            "neither keys",
        ),
        (
            "targets",
            |targets| targets["delegations"]["roles"][0]["name"] = "other".into(),
            "delegate to \"other\"",
        ),
        (
            "targets",
            |targets| {
                let first = targets["delegations"]["roles"][0].take();
                let roles = targets["delegations"]["roles"].as_array_mut().unwrap();
                roles.remove(0);
                roles.push(first);
            },
            "neither keys",
        ),
        (
            "targets",
            |targets| targets["targets"] = json!({"x": {"length": 1, "hashes": {"sha256": "0".repeat(64)}}}),
            "neither keys, thresholds, dates nor floors",
        ),
        (
            "targets",
            |targets| {
                targets["targets"] = json!({"floor": {"length": 0, "hashes": {"sha256": "0".repeat(64)},
                    "custom": {"bascule": {"floors": {"ha": 3}}, "x": 1}}});
            },
            "floors say more",
        ),
        (
            "pins",
            |pins| pins["delegations"] = json!({"keys": {}, "roles": []}),
            "neither documents nor dates",
        ),
    ];
    for (role, edit, expected) in cases {
        tamper_signed(&place, role, edit);
        refused_everywhere(&place, "root", expected);
    }
    tamper(&place, |file| file["x"] = 1.into());
    refused_everywhere(&place, "root", "unknown field `x`");
    tamper(&place, |file| file["documents"] = json!({"pins/x": "y"}));
    refused_everywhere(&place, "root", "which it does not list");
    tamper(&place, |file| file["roles"]["timestamp"] = file["roles"]["root"].clone());
    refused_everywhere(&place, "root", "never proposed");
    assert_eq!(snapshot(&place.repo()), repository);

    // What can be shown is shown, and signatures over something else do not count.
    place.ok(&["root", "sign", "good.json", "--yes"]);
    tamper_signed(&place, "targets", |targets| {
        targets["targets"] = json!({"floor": {"length": 0, "hashes": {"sha256": "0".repeat(64)},
            "custom": {"bascule": {"floors": {"ha": 3}}}}});
    });
    says(
        &place.ok(&["root", "show", "bad.json"]),
        &["nodes install no ha image below release counter 3 (before: 0)", "targets: 0 of 1 signatures"],
    );
    says(
        &place.refused(&["root", "commit", "bad.json"]),
        &["signatures are missing", "targets: 0 of 1 signatures"],
    );
    place.ok(&["root", "commit", "good.json"]);
}

#[test]
fn a_pin_proposal_hides_nothing() {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 4));
    place.signed(&Fake::new("ha@2", 2, 4));
    place.ok(&["pin", "web", "ha@1"]);
    place.ok(&["pins", "prepare", "-o", "good.json", "set", "web", "ha@2"]);
    let repository = snapshot(&place.repo());
    let new = |file: &Value| {
        let documents = file["documents"].as_object().unwrap().iter();
        let name = documents
            .filter(|(_, text)| text.as_str().unwrap().contains("ha@2"))
            .map(|(name, _)| name.clone());
        name.collect::<Vec<_>>().remove(0)
    };
    tamper(&place, |file| {
        let name = new(file);
        file["documents"].as_object_mut().unwrap().remove(&name);
    });
    refused_everywhere(&place, "pins", "the proposal lacks pins/");
    tamper(&place, |file| {
        let name = new(file);
        file["documents"][name] = "{}".into();
    });
    refused_everywhere(&place, "pins", "expected SHA-256");
    let target = |pins: &mut Value| pins["targets"].as_object_mut().unwrap().remove("pins/web.json").unwrap();
    tamper_signed(&place, "pins", |pins| {
        let mut web = target(pins);
        web["custom"] = json!({"x": 1});
        pins["targets"]["pins/web.json"] = web;
    });
    refused_everywhere(&place, "pins", "says more of it than length and SHA-256");
    tamper_signed(&place, "pins", |pins| pins["targets"]["pins/db.json"] = target(pins));
    refused_everywhere(&place, "pins", "the proposal lacks pins/");
    tamper_signed(&place, "pins", |pins| pins["targets"]["images/ha@3.json"] = target(pins));
    refused_everywhere(&place, "pins", "is not theirs");
    tamper_signed(&place, "pins", |pins| pins["targets"]["../x"] = target(pins));
    refused_everywhere(&place, "pins", "pins name \"../x\"");
    tamper(&place, |file| {
        let base = file["base"].as_object_mut().unwrap();
        base.retain(|name, _| !name.ends_with("snapshot.json"));
    });
    let root = place.repo().join("root.json");
    let from_root = ["pins", "show", "bad.json", "--root", root.to_str().unwrap()];
    says(&place.refused(&from_root), &["verify the state that the proposal was made on", "snapshot.json"]);
    assert_eq!(snapshot(&place.repo()), repository);

    // A root of somebody else vouches for nothing.
    let other = Place::new();
    let stranger = other.repo().join("root.json");
    let args = [
        "pins",
        "sign",
        "good.json",
        "--yes",
        "--root",
        stranger.to_str().unwrap(),
        "--key",
        "repo/keys/pins.pem",
    ];
    says(&place.refused(&args), &["verify the state that the proposal was made on"]);
    for (name, expected) in [("/nonexistent", "/nonexistent"), ("repo/keys/pins.pub", "trusted root")] {
        says(&place.refused(&["pins", "show", "good.json", "--root", name]), &[expected]);
    }
    // Somebody else's pin came in between.
    place.ok(&["pins", "sign", "good.json", "--yes"]);
    place.ok(&["pin", "db", "ha@2"]);
    says(&place.refused(&["pins", "commit", "good.json"]), &["has version 3, expected 4", "prepare it anew"]);
}

#[test]
fn floors_rise_and_images_are_taken_back() {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 4));
    place.signed(&Fake::new("ha@2", 2, 4));
    place.ok(&["pin", "web", "ha@1"]);
    let pinned = ["root", "prepare", "--floor", "ha=2", "-o", "floor.json"];
    says(&place.refused(&pinned), &["group web is pinned to ha@1 with release counter 1, below 2"]);
    let remove = ["releases", "prepare", "--remove", "ha@1", "-o", "remove.json"];
    says(&place.refused(&remove), &["group web is pinned to ha@1"]);
    place.ok(&["pin", "web", "ha@2"]);
    says(&place.ok(&pinned), &["nodes install no ha image below release counter 2 (before: 0)"]);
    says(&place.ok(&remove), &["- image ha@1 is listed no more"]);
    for (verb, file) in [("root", "floor.json"), ("releases", "remove.json")] {
        place.ok(&[verb, "sign", file, "--yes"]);
        place.ok(&[verb, "commit", file]);
    }
    says(&place.refused(&["pin", "web", "ha@1"]), &["ha@1 is built but not signed"]);
    place.ok(&["sign", "ha@1"]);
    says(&place.refused(&["pin", "web", "ha@1"]), &["release counter 1, the signed floor of role ha is 2"]);
    let lower = ["root", "prepare", "--floor", "ha=1", "-o", "lower.json"];
    says(&place.refused(&lower), &["is 2 already, and never goes down to 1"]);
}

#[test]
fn snapshot_and_timestamp_are_given_to_a_server() {
    let place = Place::empty();
    let server = Server::start(&place.path("published"));
    fs::write(place.path("token"), TOKEN).unwrap();
    let token = place.path("token").display().to_string();
    place.ok(&["init", "--single-key", "--remote", &server.url, "--token-file", &token]);
    place.signed(&Fake::new("ha@1", 1, 4));
    place.ok(&["publish"]);
    fs::write(place.path("online.json"), server.sign()).unwrap();
    let shown = place.ok(&["root", "prepare", "--online-keys", "online.json", "-o", "server.json"]);
    says(
        &shown,
        &[
            "1 of 1 keys sign snapshot (before: 1 of 1)",
            "1 of 1 keys sign timestamp (before: 1 of 1)",
            "no longer",
        ],
    );
    place.ok(&["root", "sign", "server.json", "--yes"]);
    place.ok(&["root", "commit", "server.json"]);
    for role in ["snapshot", "timestamp"] {
        fs::remove_file(place.repo().join(format!("keys/{role}.pem"))).unwrap();
    }
    place.ok(&["pin", "web", "ha@1"]);
    let status = place.json(&["trust", "status", "--to", &server.url]);
    let root = &status["roles"][0];
    assert_eq!((root["role"].as_str(), root["version"].as_u64()), (Some("root"), Some(2)));
    place.ok(&["verify", "--all"]);
    for (content, expected) in [
        ("{}", "missing field"),
        (r#"{"keys":[]}"#, "there is no key for snapshot"),
        (
            r#"{"keys":[{"role":"root","keyid":"x","public_pem":"x"}]}"#,
            "expected snapshot or timestamp, found role \"root\"",
        ),
    ] {
        fs::write(place.path("online.json"), content).unwrap();
        says(
            &place.refused(&["root", "prepare", "--online-keys", "online.json", "-o", "x.json"]),
            &[expected],
        );
    }
}

#[test]
fn a_releases_proposal_hides_nothing() {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 4));
    place.build(&Fake::new("ha@2", 2, 4));
    place.ok(&["releases", "prepare", "ha@2", "-o", "good.json"]);
    tamper_signed(&place, "releases", |releases| {
        let other = releases["targets"]["images/ha@2.json"].clone();
        releases["targets"]["images/ha@1.json"] = other;
    });
    refused_everywhere(&place, "releases", "give ha@1 other content; a signed version never changes");
    // The manifest of ha@2 under another name, in every place where a name stands.
    tamper_signed(&place, "releases", |releases| {
        let targets = releases["targets"].as_object_mut().unwrap();
        let target = targets.remove("images/ha@2.json").unwrap();
        targets.insert("images/ha@3.json".into(), target);
    });
    let mut file: Value = serde_json::from_slice(&fs::read(place.path("bad.json")).unwrap()).unwrap();
    let text = file["documents"].to_string().replace(".ha@2.json", ".ha@3.json");
    file["documents"] = serde_json::from_str(&text).unwrap();
    fs::write(place.path("bad.json"), file.to_string()).unwrap();
    refused_everywhere(&place, "releases", "the manifest listed for ha@3 is that of ha@2");
    tamper_signed(&place, "releases", |releases| {
        releases["targets"]["images/ha@2.json"]["length"] = 7.into();
    });
    refused_everywhere(&place, "releases", "expected 7 bytes");
    tamper_signed(&place, "releases", |releases| {
        releases["targets"]["images/ha@2.json"]["hashes"]["sha512"] = "0".repeat(128).into();
    });
    refused_everywhere(&place, "releases", "says more of it than length and SHA-256");
    // An image that is taken away is told.
    tamper_signed(&place, "releases", |releases| {
        releases["targets"].as_object_mut().unwrap().remove("images/ha@1.json");
    });
    says(&place.ok(&["releases", "show", "bad.json"]), &["- image ha@1 is listed no more", "+ image ha@2"]);
}

/// A pin for an image that is listed with another manifest, with everything else in order.
#[test]
fn a_pin_must_name_what_is_released() {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 4));
    place.ok(&["pins", "prepare", "-o", "good.json", "set", "web", "ha@1"]);
    for (from, to, expected) in [
        ("", "", "group web runs nothing"),
        ("ha@1", "ha@7", "the signed releases list no such image"),
        ("\"group\":\"web\"", "\"group\":\"db\"", "the pin listed for web is that of db"),
    ] {
        tamper(&place, |file| {
            let documents = file["documents"].as_object_mut().unwrap();
            let (_, text) = std::mem::take(documents).into_iter().next().unwrap();
            let text = text.as_str().unwrap().replace(from, to);
            let sha256 = Sha256::of(text.as_bytes()).to_string();
            documents.insert(format!("pins/{sha256}.web.json"), text.clone().into());
            let mut pins: Value = serde_json::from_str(file["roles"]["pins"].as_str().unwrap()).unwrap();
            pins["signed"]["targets"]["pins/web.json"] =
                json!({"length": text.len(), "hashes": {"sha256": sha256}});
            file["roles"]["pins"] = pins.to_string().into();
        });
        if expected.starts_with("group") {
            says(&place.ok(&["pins", "show", "bad.json"]), &[expected]);
        } else {
            refused_everywhere(&place, "pins", expected);
        }
    }
}

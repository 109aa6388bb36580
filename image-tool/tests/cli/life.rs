//! The whole way of an image: init, sign, publish, pin, and what is said about it.

use image_format::repository::{Repository, Upload};
use image_format::store::Store;
use signing::repo::{Lifetimes, RoleKeys, RoleName};
use signing::{SecretKey, UnixTime};

use crate::image::Fake;
use crate::place::{Place, says, snapshot};
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn a_new_repository_has_private_keys_and_is_never_overwritten() {
    let place = Place::new();
    for role in ["root", "targets", "releases", "pins", "snapshot", "timestamp"] {
        let path = place.repo().join(format!("keys/{role}.pem"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{role}");
        says(&std::fs::read_to_string(&path).unwrap(), &["BEGIN PRIVATE KEY"]);
    }
    assert_eq!(std::fs::metadata(place.repo().join("keys")).unwrap().permissions().mode() & 0o777, 0o700);
    let before = snapshot(&place.repo());
    says(&place.refused(&["init"]), &["exists there already"]);
    assert_eq!(snapshot(&place.repo()), before);
    let other = place.path("full");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("mine"), "x").unwrap();
    says(&place.refused(&["init", "--repo", other.to_str().unwrap()]), &["new or empty directory"]);
    assert_eq!(snapshot(&other).len(), 1);
}

#[test]
fn without_a_repository_every_verb_says_so() {
    let place = Place::empty();
    for args in
        [["list"].as_slice(), &["sign", "ha@1"], &["publish"], &["pin", "g", "ha@1"], &["key", "list"]]
    {
        says(&place.refused(args), &["not a repository", "imgtool init", "BASCULE_REPO"]);
    }
}

#[test]
fn settings_are_strict() {
    let place = Place::new();
    std::fs::write(place.repo().join("bascule.toml"), "remot = \"x\"\n").unwrap();
    says(&place.refused(&["list"]), &["bascule.toml", "unknown field `remot`"]);
}

#[test]
fn only_what_is_built_can_be_signed_and_only_what_is_signed_published() {
    let place = Place::new();
    let store = place.store();
    place.build(&Fake::new("ha@1", 1, 4));
    says(
        &place.refused(&["publish", "ha@1", "--to", &store]),
        &["ha@1 is built but not signed", "imgtool sign ha@1"],
    );
    says(&place.refused(&["pin", "g", "ha@1"]), &["ha@1 is built but not signed"]);
    says(&place.refused(&["sign", "ha@2"]), &["no build of ha@2", "did you mean ha@1"]);
    place.ok(&["sign", "ha@1"]);
    says(
        &place.refused(&["pin", "g", "ha@1", "--to", &store]),
        &["nothing was signed", "not published", "imgtool publish ha@1"],
    );
    assert_eq!(place.json(&["list"])[0]["pinned_by"].as_array().unwrap().len(), 0);
    says(&place.refused(&["publish", "ha@9", "--to", &store]), &["unknown image ha@9; did you mean ha@1?"]);
}

#[test]
fn signing_again_changes_nothing_and_other_content_is_refused() {
    let place = Place::new();
    let mut fake = Fake::new("ha@1", 1, 4);
    place.signed(&fake);
    let before = snapshot(&place.repo());
    assert_eq!(place.json(&["sign", "ha@1"])[0]["new"], false);
    assert_eq!(snapshot(&place.repo()), before);
    fake.files.push(99);
    place.build(&fake);
    let before = snapshot(&place.repo());
    says(
        &place.refused(&["sign", "ha@1"]),
        &["ha@1 is signed already with other content", "another --version"],
    );
    assert_eq!(snapshot(&place.repo()), before);
    // A second image must not share a counter with the first.
    place.build(&Fake::new("ha@2", 1, 5));
    says(&place.refused(&["sign", "ha@2"]), &["release counter 1", "ha@1"]);
    place.build(&Fake::new("base@1", 7, 3));
    place.build(&Fake::new("base@2", 7, 4));
    says(
        &place.refused(&["sign", "base@1", "base@2"]),
        &["base@2 has release counter 7, which base@1 has too"],
    );
    assert!(place.json(&["list", "base"]).as_array().unwrap().iter().all(|row| row["stage"] == "built"));
}

#[test]
fn a_build_with_a_missing_object_is_not_signed() {
    let place = Place::new();
    let fake = Fake::new("ha@1", 1, 4);
    place.build(&fake);
    image_format::store::Store::open(place.repo().join("store")).unwrap().unpack().unwrap();
    let text = std::fs::read_to_string(place.repo().join("builds/ha@1/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let kernel = manifest["kernel"]["object"]["id"].as_str().unwrap();
    let path = place.repo().join(format!("store/objects/{}/{kernel}", &kernel[..2]));
    std::fs::write(&path, b"short").unwrap();
    says(&place.refused(&["sign", "ha@1"]), &[kernel, "expected 30000 bytes", "found 5 bytes"]);
    std::fs::remove_file(&path).unwrap();
    says(&place.refused(&["sign", "ha@1"]), &[kernel, "found none"]);
    std::fs::write(place.repo().join("builds/ha@1/manifest.json"), text.replace(',', ", ")).unwrap();
    says(&place.refused(&["sign", "ha@1"]), &["canonical JSON"]);
}

#[test]
fn pins_and_assignments_are_published_at_once() {
    let place = Place::new();
    let store = place.store();
    place.signed(&Fake::new("ha@1", 1, 4));
    place.signed(&Fake::new("ha@2", 2, 5));
    place.ok(&["publish", "--to", &store]);
    let pin = place.json(&["pin", "cluster", "ha@2", "--to", &store]);
    assert_eq!((&pin["changed"], pin["published"].as_str()), (&true.into(), Some(store.as_str())));
    let pin = place.json(&["pin", "cluster", "ha@1", "--disk", "/dev/vda", "--wipe", "--to", &store]);
    assert_eq!((pin["previous"].as_str(), pin["disk"]["disk"].as_str()), (Some("ha@2"), Some("vda")));
    let again = place.json(&["pin", "cluster", "ha@1", "--disk", "vda", "--wipe", "--to", &store]);
    assert_eq!(again["changed"], false);
    place.ok(&["assign", "52:54:00:AB:00:01", "cluster", "--to", &store]);
    place.ok(&["assign", "--default", "cluster", "--to", &store]);
    let target = std::fs::read_dir(format!("{store}/tuf/targets/pins")).unwrap();
    let texts: Vec<String> =
        target.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    assert!(
        texts.iter().any(|text| text.contains(r#""nodes":{"52-54-00-ab-00-01":"cluster"}"#)),
        "{texts:?}"
    );
    let list = place.json(&["list", "--to", &store]);
    assert_eq!(list[0]["pinned_by"][0], "cluster");
    assert!(list.as_array().unwrap().iter().all(|row| row["published"] == true));
    let unassigned = place.json(&["unassign", "52-54-00-ab-00-01", "--to", &store]);
    assert_eq!(unassigned["group"], "cluster", "the default");
    place.ok(&["unassign", "--default", "--to", &store]);
    place.ok(&["unpin", "cluster", "--to", &store]);
    assert_eq!(place.json(&["publish", "--to", &store])["changed"], false);
}

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 4));
    place.ok(&["pin", "cluster", "ha@1"]);
    let before = snapshot(&place.repo());
    says(&place.refused(&["pin", "cluster", "ha@7"]), &["unknown image ha@7", "did you mean ha@1?"]);
    says(&place.refused(&["unpin", "clusster"]), &["group clusster has no pin", "did you mean cluster?"]);
    says(&place.refused(&["unassign", "52-54-00-00-00-01"]), &["52-54-00-00-00-01 is not assigned"]);
    says(&place.refused(&["unassign", "--default"]), &["no default group"]);
    says(&place.refused(&["inspect", "base@1"]), &["unknown image base@1"]);
    says(&place.refused(&["verify", "base@1"]), &["unknown image base@1"]);
    says(&place.refused(&["diff", "ha@1", "base@1"]), &["unknown image base@1"]);
    assert_eq!(snapshot(&place.repo()), before);
}

#[test]
fn hostile_names_never_reach_a_file() {
    let place = Place::new();
    let before = snapshot(place.path("").as_path());
    for name in ["..", "../x", "a/b", "%2e%2e", "HA", "a b", "-a", "é", "a..b", ""] {
        let image = format!("{name}@1");
        for args in [
            vec!["sign", "--", &image],
            vec!["publish", "--", &image],
            vec!["pin", "g", "--", &image],
            vec!["pin", "--", name, "ha@1"],
            vec!["unpin", "--", name],
            vec!["assign", "--", "node", name],
            vec!["assign", "--", name, "g"],
            vec!["verify", "--", &image],
        ] {
            says(&place.misused(&args), &["invalid value", "expected"]);
        }
    }
    for disk in ["../sda", "a b", "vda;reboot", ""] {
        says(&place.misused(&["pin", "g", "ha@1", "--disk", disk]), &["invalid value"]);
    }
    assert_eq!(snapshot(place.path("").as_path()), before);
}

#[test]
fn completions_and_manual_pages_are_complete() {
    let place = Place::empty();
    for shell in ["bash", "zsh", "fish"] {
        says(&place.ok(&["completions", shell]), &["unassign", "completions"]);
    }
    let out = place.path("man");
    let pages = place.json(&["man", "--out", out.to_str().unwrap()]);
    assert!(pages["pages"].as_array().unwrap().len() > 20, "{pages}");
    for page in ["imgtool.1", "imgtool-pin.1", "imgtool-key-import.1"] {
        says(&std::fs::read_to_string(out.join(page)).unwrap(), &[".TH imgtool", "SYNOPSIS"]);
    }
    let pin = std::fs::read_to_string(out.join("imgtool-pin.1")).unwrap();
    says(&pin, &["Examples"]);
}

#[test]
fn every_help_has_examples() {
    let place = Place::empty();
    for verb in [
        "init",
        "build",
        "sign",
        "publish",
        "pull",
        "pin",
        "unpin",
        "assign",
        "unassign",
        "renew",
        "list",
        "inspect",
        "diff",
        "verify",
        "nodes",
        "completions",
        "man",
    ] {
        says(&place.ok(&[verb, "--help"]), &["Examples:", &format!("imgtool {verb}"), "Usage: imgtool "]);
    }
    for (verb, parts) in [
        ("key", ["new", "show", "import", "list"].as_slice()),
        ("root", &["prepare"]),
        ("releases", &["prepare"]),
        ("pins", &["prepare"]),
        ("trust", &["status"]),
    ] {
        for part in parts {
            says(&place.ok(&[verb, part, "--help"]), &["Examples:", &format!("imgtool {verb} {part}")]);
        }
    }
    for verb in ["root", "releases", "pins"] {
        says(&place.ok(&[verb, "--help"]), &["Examples:", "prepare", "show", "sign", "commit"]);
    }
}

#[test]
fn metadata_is_renewed_here_and_there() {
    let place = Place::new();
    let store = place.store();
    place.signed(&Fake::new("ha@1", 1, 4));
    place.ok(&["publish", "--to", &store]);
    let renewed = place.json(&["renew", "--to", &store]);
    let of = |role: &str| {
        renewed["roles"].as_array().unwrap().iter().find(|row| row["role"] == role).unwrap().clone()
    };
    assert_eq!((&of("timestamp")["renewed"], &of("snapshot")["renewed"]), (&true.into(), &true.into()));
    assert_eq!((&of("root")["renewed"], &of("releases")["renewed"]), (&false.into(), &false.into()));
    assert_eq!(renewed["published"].as_str(), Some(store.as_str()));
    assert_eq!(place.json(&["publish", "--to", &store])["changed"], false);
}

/// Signs everything anew as of `days` ago.
pub(crate) fn age(place: &Place, days: i64) {
    let store = Store::open(place.repo().join("store")).unwrap();
    let repository = Repository::open(&store);
    let files = repository.trusted().unwrap().unwrap();
    let mut model = signing::repo::Repository::load(files, Lifetimes::default()).unwrap();
    let mut keys = RoleKeys::default();
    for role in RoleName::ALL {
        let pem = std::fs::read_to_string(place.repo().join(format!("keys/{}.pem", role.as_str()))).unwrap();
        keys.of_mut(role).push(SecretKey::from_pem(&pem).unwrap());
        model.renew(role);
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let then = UnixTime(now).plus_days(-days);
    let metadata = model.write(&keys, then).unwrap();
    repository.commit(Upload { metadata, ..Upload::default() }, then).unwrap();
}

#[test]
fn expired_metadata_is_told_and_can_be_renewed() {
    let place = Place::new();
    let store = place.store();
    place.signed(&Fake::new("ha@1", 1, 4));
    place.ok(&["publish", "--to", &store]);
    age(&place, 366);
    let output = place.command(&["list"]).output().unwrap();
    assert!(output.status.success());
    says(&String::from_utf8_lossy(&output.stderr), &["has expired", "imgtool renew"]);
    says(&place.refused(&["publish", "--to", &store]), &["expired"]);
    let renewed = place.json(&["renew", "--to", &store]);
    let names = |row: &serde_json::Value| row["role"].as_str().unwrap().to_owned();
    let rows = renewed["roles"].as_array().unwrap().iter().filter(|row| row["renewed"] == true);
    // Root is valid for two years.
    assert_eq!(rows.map(names).collect::<Vec<_>>(), ["pins", "releases", "snapshot", "targets", "timestamp"]);
    place.ok(&["pin", "web", "ha@1", "--to", &store]);
    place.ok(&["verify", "--all", "--store", &store]);
}

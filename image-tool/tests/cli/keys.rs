//! Keys: made, shown, imported; missing, open to others, of another role.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::image::Fake;
use crate::place::{Place, says, snapshot};

#[test]
fn a_missing_key_is_named_and_nothing_is_signed() {
    let place = Place::new();
    place.build(&Fake::new("ha@1", 1, 4));
    for role in ["releases", "snapshot", "timestamp"] {
        let path = place.repo().join(format!("keys/{role}.pem"));
        let key = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let before = snapshot(&place.repo());
        let error = place.refused(&["sign", "ha@1"]);
        says(
            &error,
            &[
                "nothing was signed",
                &format!("no key for role {role}"),
                &format!("{role}.pem"),
                "imgtool key import",
            ],
        );
        assert_eq!(snapshot(&place.repo()), before);
        fs::write(&path, key).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    place.ok(&["sign", "ha@1"]);
    fs::remove_file(place.repo().join("keys/pins.pem")).unwrap();
    says(&place.refused(&["pin", "web", "ha@1"]), &["no key for role pins"]);
}

#[test]
fn the_key_of_another_role_is_told_apart() {
    let place = Place::new();
    place.build(&Fake::new("ha@1", 1, 4));
    let keys = place.repo().join("keys");
    let id = |role: &str| {
        let shown = place.json(&["key", "show", keys.join(format!("{role}.pem")).to_str().unwrap()]);
        shown["keyid"].as_str().unwrap().to_owned()
    };
    let (releases, pins) = (id("releases"), id("pins"));
    fs::copy(keys.join("pins.pem"), keys.join("releases.pem")).unwrap();
    let error = place.refused(&["sign", "ha@1"]);
    says(
        &error,
        &[
            "wrong key for role releases",
            &format!("expected key id {releases}"),
            &format!("found {pins}"),
            "role pins",
        ],
    );
    let list = place.json(&["key", "list"]);
    let row = list.as_array().unwrap().iter().find(|row| row["role"] == "releases").unwrap();
    assert_eq!((row["present"].as_bool(), row["keyid"].as_str()), (Some(false), Some(pins.as_str())));
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_fix() {
    let place = Place::new();
    place.build(&Fake::new("ha@1", 1, 4));
    let path = place.repo().join("keys/releases.pem");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    says(&place.refused(&["sign", "ha@1"]), &["expected mode 0600, found 0640", "chmod 600", "releases.pem"]);
    says(&place.refused(&["key", "show", path.to_str().unwrap()]), &["chmod 600"]);
}

#[test]
fn keys_are_made_shown_and_imported() {
    let place = Place::new();
    let keys = place.repo().join("keys");
    let away = place.path("stick.pem");
    fs::rename(keys.join("releases.pem"), &away).unwrap();
    let away = away.to_str().unwrap();
    let list = place.ok(&["key", "list"]);
    says(&list, &["releases", "no key file", "can sign"]);
    let shown = place.ok(&["key", "show", away]);
    says(&shown, &["BEGIN PUBLIC KEY", "key id"]);
    assert!(!shown.contains("PRIVATE"), "{shown}");
    let public = place.ok(&["key", "show", away, "--public"]);
    assert!(
        public.starts_with("-----BEGIN PUBLIC KEY-----")
            && public.trim_end().ends_with("-----END PUBLIC KEY-----")
    );
    fs::write(place.path("public.pem"), &public).unwrap();
    let from_public = place.json(&["key", "show", place.path("public.pem").to_str().unwrap()]);
    let from_private = place.json(&["key", "show", away]);
    assert_eq!(from_public["keyid"], from_private["keyid"]);

    place.ok(&["key", "import", "releases", away]);
    place.ok(&["key", "import", "releases", away]);
    assert_eq!(fs::metadata(keys.join("releases.pem")).unwrap().permissions().mode() & 0o777, 0o600);
    place.signed(&Fake::new("ha@1", 1, 4));

    let new = place.path("new.pem");
    let new = new.to_str().unwrap();
    place.ok(&["key", "new", "pins", "--out", new]);
    assert_eq!(fs::metadata(new).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(new).unwrap();
    says(&place.refused(&["key", "new", "pins", "--out", new]), &["exists already"]);
    assert_eq!(fs::read(new).unwrap(), before);
    says(&place.refused(&["key", "import", "pins", new]), &["wrong key for role pins", "expected key id"]);
    says(&place.refused(&["key", "import", "pins", "/nonexistent.pem"]), &["/nonexistent.pem"]);
    says(&place.misused(&["key", "import", "nobody", new]), &["invalid value 'nobody'"]);
}

/// Where OpenSSL is installed: both read each other's keys.
#[test]
fn openssl_reads_and_writes_the_same_format() {
    let place = Place::new();
    let file = place.path("openssl.pem");
    let made = Command::new("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&file).output();
    let Ok(made) = made else {
        // The unit tests of `signing` hold the format fast where there is no OpenSSL.
        return;
    };
    assert!(made.status.success());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let ours = place.ok(&["key", "show", file.to_str().unwrap(), "--public"]);
    let theirs = |file: &std::path::Path| {
        let output = Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(file).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(ours, theirs(&file));
    let root = place.repo().join("keys/root.pem");
    assert_eq!(place.ok(&["key", "show", root.to_str().unwrap(), "--public"]), theirs(&root));
}

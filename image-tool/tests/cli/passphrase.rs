//! Encrypted keys, and where their passphrases come from.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::place::{Place, says, snapshot, text};

const PASSPHRASE: &str = "correct horse, ü";

fn secret_file(place: &Place, name: &str, content: &str) -> String {
    let path = place.path(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// A repository whose pins key is encrypted.
fn encrypted_pins(place: &Place) -> String {
    let file = secret_file(place, "passphrase", &format!("{PASSPHRASE}\n"));
    place.ok(&["key", "new", "pins", "--encrypt", "--passphrase-file", &file]);
    let key = "pins=repo/keys/pins-1.pem";
    // Its public half lies beside it: no passphrase is needed to list it.
    place.ok(&["root", "prepare", "--add-key", key, "--remove-key", "pins=pins", "-o", "p.json"]);
    place.ok(&["root", "sign", "p.json", "--yes", "--passphrase-file", &file]);
    place.ok(&["root", "commit", "p.json"]);
    fs::remove_file(place.repo().join("keys/pins.pem")).unwrap();
    file
}

#[test]
fn a_passphrase_comes_from_a_file_a_descriptor_or_the_environment() {
    let place = Place::new();
    let file = encrypted_pins(&place);
    let pem = fs::read_to_string(place.repo().join("keys/pins-1.pem")).unwrap();
    says(&pem, &["BEGIN ENCRYPTED PRIVATE KEY"]);
    let mode = fs::metadata(place.repo().join("keys/pins-1.pem")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let assign = |group: &str| place.command(&["assign", "--default", group]);
    place.ok(&["assign", "--default", "one", "--passphrase-file", &file]);
    for (number, name) in ["BASCULE_PASSPHRASE", "MINE"].into_iter().enumerate() {
        let mut command = assign(&format!("env-{number}"));
        command.env(name, PASSPHRASE);
        if name == "MINE" {
            command.args(["--passphrase-env", name]);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        assert!(!text(&output).contains(PASSPHRASE));
    }
    // Several passphrases, one a line; the right one is found.
    let lines = format!("wrong\n{PASSPHRASE}\nother\n");
    let input = secret_file(&place, "lines", &lines);
    let mut command = assign("descriptor");
    command.args(["--passphrase-fd", "0"]).stdin(Stdio::from(fs::File::open(input).unwrap()));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_wrong_passphrase_or_none_signs_nothing() {
    let place = Place::new();
    let file = encrypted_pins(&place);
    let before = snapshot(&place.repo());
    let assign = ["assign", "--default", "web"];
    let refused = |name: &str, value: &str| {
        let output = place.command(&assign).env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(!text(&output).contains("horse"), "{}", text(&output));
        String::from_utf8(output.stderr).unwrap()
    };
    for wrong in ["correct horse", "", "correct horse, u"] {
        says(
            &refused("BASCULE_PASSPHRASE", wrong),
            &["pins-1.pem", "wrong passphrase (from BASCULE_PASSPHRASE)"],
        );
    }
    let with = |option: &str, value: &str| place.refused(&[assign.as_slice(), &[option, value]].concat());
    says(&with("--passphrase-env", "NOBODY"), &["--passphrase-env NOBODY: there is no such variable"]);
    says(&with("--passphrase-fd", "77"), &["file descriptor 77"]);
    says(&with("--passphrase-file", "/nonexistent"), &["/nonexistent"]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    says(&with("--passphrase-file", &file), &["file with passphrases is accessible to others", "chmod 600"]);
    // Without a controlling terminal nobody can be asked.
    let imgtool = env!("CARGO_BIN_EXE_imgtool");
    let output = Command::new("setsid")
        .args(["--wait", imgtool])
        .args(assign)
        .env_clear()
        .env("BASCULE_REPO", place.repo())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let words =
        ["pins-1.pem", "no terminal to ask for a passphrase", "--passphrase-file", "BASCULE_PASSPHRASE"];
    says(&String::from_utf8_lossy(&output.stderr), &words);
    assert_eq!(snapshot(&place.repo()), before);
    // What needs no secret needs no passphrase.
    place.ok(&["key", "list"]);
    place.ok(&["trust", "status"]);
}

#[test]
fn a_new_encrypted_key_needs_one_passphrase_that_is_not_empty() {
    let place = Place::new();
    for (content, expected) in
        [("", "expected one passphrase, found 0 lines"), ("\n", "an empty one"), ("a\nb\n", "found 2 lines")]
    {
        let file = secret_file(&place, "p", content);
        let error =
            place.refused(&["key", "new", "--out", "new.pem", "--encrypt", "--passphrase-file", &file]);
        says(&error, &[expected]);
        assert!(!place.path("new.pem").exists() && !place.path("new.pub").exists());
    }
    assert!(!Path::new("p").exists());
}

#[test]
fn a_repository_with_encrypted_keys() {
    let place = Place::empty();
    let file = secret_file(&place, "passphrase", PASSPHRASE);
    place.ok(&["init", "--encrypt", "--passphrase-file", &file]);
    let keys = place.repo().join("keys");
    let read = |name: &str| fs::read_to_string(keys.join(name)).unwrap();
    for name in ["root-1", "root-3", "targets-2", "releases", "pins"] {
        says(&read(&format!("{name}.pem")), &["BEGIN ENCRYPTED PRIVATE KEY"]);
        says(&read(&format!("{name}.pub")), &["BEGIN PUBLIC KEY"]);
    }
    // A timer signs these.
    says(&read("snapshot.pem"), &["BEGIN PRIVATE KEY"]);
    says(&read("timestamp.pem"), &["BEGIN PRIVATE KEY"]);
    place.ok(&["renew"]);
    place.ok(&["assign", "--default", "web", "--passphrase-file", &file]);
    let status = place.json(&["trust", "status"]);
    let root = &status["roles"][0];
    assert_eq!((root["role"].as_str(), root["threshold"].as_u64()), (Some("root"), Some(2)));
    assert_eq!(root["keys"].as_array().unwrap().len(), 3);
    assert!(root["keys"].as_array().unwrap().iter().all(|key| key["here"].is_string()), "{root}");
}

/// Two of three keys sign; the third has another passphrase, and nobody is asked for it.
#[test]
fn nobody_is_asked_for_a_key_that_is_not_needed() {
    let place = Place::empty();
    let file = secret_file(&place, "passphrase", PASSPHRASE);
    place.ok(&["init", "--encrypt", "--passphrase-file", &file]);
    let keys = place.repo().join("keys");
    let other = secret_file(&place, "other", "another one");
    for (number, role) in ["root", "targets"].into_iter().enumerate() {
        place.ok(&["key", "new", role, "--encrypt", "--passphrase-file", &other]);
        let (add, remove) = (format!("{role}=repo/keys/{role}-4.pub"), format!("{role}={role}-1"));
        let proposal = format!("{number}.json");
        place.ok(&["root", "prepare", "--add-key", &add, "--remove-key", &remove, "-o", &proposal]);
        place.ok(&["root", "sign", &proposal, "--yes", "--passphrase-file", &file]);
        place.ok(&["root", "commit", &proposal]);
        fs::remove_file(keys.join(format!("{role}-1.pem"))).unwrap();
        // Now the first that is tried is a stranger's.
        for end in ["pem", "pub"] {
            fs::rename(keys.join(format!("{role}-4.{end}")), keys.join(format!("{role}-0.{end}"))).unwrap();
        }
    }
    place.ok(&["root", "prepare", "--renew", "-o", "renew.json"]);
    place.ok(&["root", "sign", "renew.json", "--yes", "--passphrase-file", &file]);
    place.ok(&["root", "commit", "renew.json"]);
    // The public half says whose key it is, and is not believed when it signs.
    fs::copy(keys.join("pins.pub"), keys.join("releases.pub")).unwrap();
    fs::copy(keys.join("releases.pem"), place.path("releases.pem")).unwrap();
    fs::rename(keys.join("releases.pem"), keys.join("pins.pem")).unwrap();
    let error = place.refused(&["assign", "--default", "web", "--passphrase-file", &file]);
    says(&error, &["nothing was signed", "pins.pem: expected key", "as the public half beside it says"]);
}

//! What is read and shown: verify against a matrix of damage, diff, inspect, list, nodes.

use std::fs;
use std::path::{Path, PathBuf};

use image_format::index::Index;
use image_format::store::Store;
use serde_json::Value;

use crate::image::{Fake, noise};
use crate::place::{Place, says};
use crate::server::{Fake as Server, TOKEN};

fn manifest(place: &Place, image: &str) -> Value {
    serde_json::from_slice(&fs::read(place.repo().join(format!("builds/{image}/manifest.json"))).unwrap())
        .unwrap()
}

fn object(store: &Path, id: &str) -> PathBuf {
    store.join("objects").join(&id[..2]).join(id)
}

/// What is damaged × how: each is refused, and named.
#[test]
fn verify_names_every_damaged_object() {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 12));
    let store = place.repo().join("store");
    let manifest = manifest(&place, "ha@1");
    let id = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    let opened = Store::open(&store).unwrap();
    opened.unpack().unwrap();
    let index = Index::parse(&opened.read(id("/root/index/id").parse().unwrap(), 1 << 20).unwrap()).unwrap();
    let chunks: Vec<String> = index.objects().map(|entry| entry.object.to_string()).collect();
    let parts = [
        ("kernel", id("/kernel/object/id")),
        ("initramfs", id("/initramfs/id")),
        ("index", id("/root/index/id")),
        ("files", id("/files/id")),
        ("root at byte 0", chunks[0].clone()),
        ("root at byte", chunks[chunks.len() - 1].clone()),
    ];
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Option<Damage>); 5] = [
        ("removed", None),
        ("flipped", Some(|bytes| bytes[0] ^= 1)),
        ("cut", Some(|bytes| bytes.truncate(bytes.len() - 1))),
        ("longer", Some(|bytes| bytes.push(0))),
        ("emptied", Some(Vec::clear)),
    ];
    place.ok(&["verify", "ha@1"]);
    for (what, id) in &parts {
        let path = object(&store, id);
        let good = fs::read(&path).unwrap();
        for (how, damage) in &damages {
            fs::remove_file(&path).unwrap();
            if let Some(damage) = damage {
                let mut bytes = good.clone();
                damage(&mut bytes);
                fs::write(&path, bytes).unwrap();
            }
            let output = place.command(&["verify", "ha@1"]).output().unwrap();
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.status.code(), Some(1), "{what} {how}");
            says(&out, &["NOT as signed", what, id]);
            says(&err, &["not as signed", id]);
            let json = place.command(&["verify", "ha@1", "--json"]).output().unwrap();
            let json: Value = serde_json::from_slice(&json.stdout).unwrap();
            assert_eq!(json[0]["ok"], false, "{what} {how}");
            let _ = fs::remove_file(&path);
            fs::write(&path, &good).unwrap();
        }
    }
    // Several at once are all named.
    for id in &chunks[..3] {
        fs::write(object(&store, id), b"x").unwrap();
    }
    let output = place.command(&["verify", "ha@1"]).output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    says(&out, &[&chunks[0], &chunks[1], &chunks[2], "verity root was not compared"]);
}

/// Chunks that are each right do not make a right whole: only the verity root says so.
#[test]
fn verify_compares_the_verity_root() {
    let place = Place::new();
    let fake = Fake::new("ha@1", 1, 6);
    let store = Store::open(place.repo().join("store")).unwrap();
    let mut manifest = fake.manifest(&store);
    manifest.root.verity.salt = image_format::Sha256::of(b"another salt");
    let dir = place.repo().join("builds/ha@1");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("manifest.json"), manifest.to_bytes().unwrap()).unwrap();
    place.ok(&["sign", "ha@1"]);
    says(&place.refused(&["verify", "ha@1"]), &["verity root", &manifest.root.verity.root_hash.to_string()]);
}

#[test]
fn verify_refuses_a_store_that_says_something_else() {
    let (place, other) = (Place::new(), Place::new());
    place.signed(&Fake::new("ha@1", 1, 4));
    other.signed(&Fake::new("ha@1", 1, 5));
    let theirs = other.repo().join("store");
    says(
        &place.refused(&["verify", "ha@1", "--store", theirs.to_str().unwrap()]),
        &["ha@1: expected manifest", "as signed here"],
    );
    says(&place.refused(&["verify", "ha@1", "--store", "/nonexistent"]), &["/nonexistent"]);
}

#[test]
fn diff_tells_packages_files_kernel_and_bytes() {
    let place = Place::new();
    let first = Fake::new("ha@1", 1, 20);
    let mut second = Fake { name: "ha@2".into(), counter: 2, ..first.clone() };
    second.files = (1..22).collect();
    second.kernel = noise(77, 31_000);
    second.packages = vec![("openssh-server", "1:9.2p1-3"), ("tree", "2.1.0-1")];
    second.cmdline = "console=ttyS0 quiet".into();
    second.checks = vec!["chrony.service"];
    place.build(&first);
    place.build(&second);
    let diff = place.json(&["diff", "ha@1", "ha@2"]);
    assert_eq!(diff["packages"]["added"][0]["name"], "tree");
    assert_eq!(diff["packages"]["removed"][0]["name"], "base-files");
    assert_eq!(diff["packages"]["changed"][0]["to"], "1:9.2p1-3");
    assert_eq!(diff["files"]["added"].as_array().unwrap().len(), 2);
    assert_eq!(diff["files"]["removed"][0]["path"], "/usr/lib/made-up/0000");
    assert_eq!(
        (&diff["kernel"], &diff["kernel_object"], &diff["initramfs"]),
        (&Value::Null, &true.into(), &false.into())
    );
    let fetch = &diff["fetch"];
    assert_eq!((&fetch["kernel_bytes"], &fetch["initramfs_bytes"]), (&31_000.into(), &0.into()));

    // The same sum by another way: what a store that has ha@1 lacks of ha@2, by plain digest.
    let store = Store::open(place.repo().join("store")).unwrap();
    let index = |image: &str| {
        let id = manifest(&place, image)
            .pointer("/root/index/id")
            .and_then(Value::as_str)
            .unwrap()
            .parse()
            .unwrap();
        store.read(id, 1 << 20).unwrap()
    };
    let (a, b) = (index("ha@1"), index("ha@2"));
    let have: Vec<_> = Index::parse(&a).unwrap().entries().iter().map(|entry| entry.chunk).collect();
    let mut wanted = std::collections::BTreeMap::new();
    for entry in Index::parse(&b).unwrap().entries() {
        if !entry.is_zero() && !have.contains(&entry.chunk) {
            wanted.insert(entry.object, u64::from(entry.stored_len));
        }
    }
    let expected = wanted.values().sum::<u64>() + 31_000 + b.len() as u64;
    assert_eq!(diff["fetch_bytes"], expected);
    assert_eq!(fetch["chunks"], wanted.len());

    let text = place.ok(&["diff", "ha@1", "ha@2"]);
    says(
        &text,
        &[
            "A node fetches",
            "same release, another file",
            "openssh-server",
            "1:9.2p1-2 → 1:9.2p1-3",
            "ssh.service",
        ],
    );
    assert!(!text.contains('\u{1b}'), "no colours off a terminal");
    let same = place.json(&["diff", "ha@1", "ha@1"]);
    assert_eq!((&same["identical"], &same["fetch_bytes"]), (&true.into(), &0.into()));
}

#[test]
fn inspect_reads_builds_signed_images_and_files() {
    let place = Place::new();
    place.build(&Fake::new("ha@1", 1, 20));
    assert_eq!(place.json(&["inspect", "ha@1"])["stage"], "built");
    place.ok(&["sign", "ha@1"]);
    let shown = place.json(&["inspect", "ha@1"]);
    assert_eq!((shown["stage"].as_str(), shown["manifest"]["name"].as_str()), (Some("signed"), Some("ha@1")));
    let file = place.repo().join("builds/ha@1/manifest.json");
    assert_eq!(place.json(&["inspect", file.to_str().unwrap()])["digest"], shown["digest"]);
    says(
        &place.ok(&["inspect", "ha@1", "--packages"]),
        &["openssh-server", "1:9.2p1-2", "KiB", "██", "unit ssh.service", "Made of", "built by  "],
    );
    assert_eq!(place.ok(&["inspect", "ha@1", "--sbom"]), crate::image::SBOM);
    fs::write(place.path("odd.json"), "{\"format\":1}").unwrap();
    says(&place.refused(&["inspect", place.path("odd.json").to_str().unwrap()]), &["odd.json", "manifest"]);
}

#[test]
fn list_shows_every_stage() {
    let place = Place::new();
    let store = place.store();
    place.signed(&Fake::new("ha@1", 1, 10));
    place.ok(&["publish", "--to", &store]);
    place.signed(&Fake::new("ha@2", 2, 11));
    place.build(&Fake::new("ha@10", 10, 12));
    place.build(&Fake::new("base@1", 1, 5));
    let rows = place.json(&["list", "--to", &store]);
    let row =
        |row: &Value| format!("{} {} {}", row["image"], row["stage"], row["published"]).replace('"', "");
    let rows: Vec<String> = rows.as_array().unwrap().iter().map(row).collect();
    assert_eq!(rows, ["base@1 built false", "ha@1 signed true", "ha@2 signed false", "ha@10 built false"]);
    assert_eq!(place.json(&["list", "base"]).as_array().unwrap().len(), 1);
}

#[test]
fn nodes_are_shown_without_a_repository() {
    let place = Place::empty();
    let server = Server::start(&place.path("published"));
    fs::write(place.path("token"), TOKEN).unwrap();
    let text = place.ok(&["nodes", "--to", &server.url, "--token-file", "token"]);
    says(&text, &["NODE", "52-54-00-12-34-56", "cluster", "ha@2", "healthy", "all 3 checks passed [31m"]);
    assert_eq!(
        place.json(&["status", "--to", &server.url, "--token-file", "token"])[0]["report"]["slot"],
        "b"
    );
    says(&place.refused(&["nodes"]), &["not a repository", "--to URL"]);
    let unknown = ["nodes", "52-54-00-00-00-00", "--to", &server.url, "--token-file", "token"];
    says(&place.refused(&unknown), &["get node 52-54-00-00-00-00", "no such call"]);
}

#[test]
fn errors_are_json_for_programs() {
    let place = Place::new();
    let error = place.refused(&["--json", "inspect", "ha@1"]);
    let error: Value = serde_json::from_str(&error).unwrap();
    says(error["error"].as_str().unwrap(), &["unknown image ha@1"]);
}

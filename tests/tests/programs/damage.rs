//! Damage in a store: what is damaged × who looks × what it says. Nothing damaged is ever accepted.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{assert_says, files, pair, place, replace_file, repo};
use bascule_tests::fixture::{IMAGE, ServedStore};
use bascule_tests::fleet::Repo;
use serde_json::Value;

fn manifest(repo: &Repo<'_>) -> Value {
    serde_json::from_slice(&fs::read(repo.dir().join("builds").join(IMAGE).join("manifest.json")).unwrap())
        .unwrap()
}

/// A file below `dir` whose name contains `part`.
fn find(dir: &Path, part: &str) -> PathBuf {
    let found = files(dir).into_iter().find(|file| file.to_str().unwrap().contains(part));
    dir.join(found.expect("a file with this name"))
}

/// How, and the deed.
type Damage = (&'static str, fn(&Path));

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    replace_file(path, &bytes);
}

fn truncate(path: &Path) {
    let bytes = fs::read(path).unwrap();
    replace_file(path, &bytes[..bytes.len() / 2]);
}

#[test]
fn every_damaged_part_of_an_image_is_named() {
    let place = place("damage");
    let repo = repo(&place);
    let store = ServedStore::at(&repo.dir().join("store")).unwrap();
    let manifest = manifest(&repo);
    let id = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    let index = id("/root/index/id");
    let ids = [
        ("chunk", store.last_chunk(&index).unwrap()),
        ("index", index),
        ("kernel", id("/kernel/object/id")),
        ("initramfs", id("/initramfs/id")),
        ("files", id("/files/id")),
    ];
    repo.run(&["verify", IMAGE]).unwrap();
    for (what, id) in &ids {
        let path = store.object(id);
        let whole = fs::read(&path).unwrap();
        let damages: [Damage; 3] =
            [("flipped", flip), ("truncated", truncate), ("removed", |path| fs::remove_file(path).unwrap())];
        for (how, damage) in damages {
            damage(&path);
            let message = repo.refused(&["verify", IMAGE]).unwrap();
            assert!(
                message.contains(&id[..12]),
                "{what} {how}: expected the object's id {id} in:\n{message}"
            );
            if path.exists() {
                fs::remove_file(&path).unwrap();
            }
            fs::write(&path, &whole).unwrap();
        }
    }
    repo.run(&["verify", IMAGE]).unwrap();
}

/// The newest version of a role's metadata: nobody reads the older ones any more.
fn newest(dir: &Path, role: &str) -> PathBuf {
    let version = |file: &String| file.split_once('.').and_then(|(number, _)| number.parse::<u64>().ok());
    let names = files(dir).into_iter().map(|file| file.to_str().unwrap().to_owned());
    let found = names.filter(|file| file.contains(role)).max_by_key(version);
    dir.join(found.expect("metadata of this role"))
}

#[test]
fn damaged_metadata_is_refused_by_tool_and_server() {
    for (role, words) in [
        ("snapshot", "snapshot"),
        ("releases", "releases"),
        ("timestamp", "timestamp"),
        ("targets", "targets"),
    ] {
        let (repo, server) = pair(&place(&format!("metadata-{role}")));
        flip(&newest(&repo.dir().join("store/tuf/metadata"), role));
        assert_says(&repo.refused(&["publish", IMAGE]).unwrap(), &[words]);
        assert_says(&repo.refused(&["verify", IMAGE]).unwrap(), &[words]);
        assert!(
            !server.data().join("tuf/metadata/timestamp.json").exists(),
            "{role}: damaged metadata was published"
        );
    }
}

#[test]
fn a_damaged_manifest_is_refused() {
    let (repo, server) = pair(&place("manifest"));
    flip(&find(&repo.dir().join("store/tuf/targets/images"), IMAGE));
    assert_says(&repo.refused(&["publish", IMAGE]).unwrap(), &[IMAGE]);
    assert_says(&repo.refused(&["verify", IMAGE]).unwrap(), &[IMAGE]);
    assert!(!server.data().join("tuf/metadata/timestamp.json").exists());
}

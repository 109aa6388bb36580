//! New roots, by the network and by the initramfs.

use initramfs_agent::fleet::{WishError, trusted};
use signing::repo::RoleName;
use signing::{SecretKey, TrustError};

use crate::world::{Files, NOW, World, refresh};

fn newest_root(files: &Files) -> Vec<u8> {
    let roots = files.iter().filter(|(path, _)| path.ends_with(".root.json"));
    roots.max_by_key(|(path, _)| path.len()).map(|(_, bytes)| bytes.clone()).unwrap()
}

/// The owner replaces a role's key; gives what the server has then.
fn rotate(world: &mut World, role: RoleName) -> Files {
    let new = SecretKey::generate().unwrap();
    world.repo.repository.set_signers(role, &[new.public()], 1).unwrap();
    world.repo.keys.of_mut(role).push(new);
    let mut files = world.repo.publish();
    let keys = world.repo.keys.of_mut(role);
    keys.remove(0);
    files.remove("/metadata/1.root.json");
    files
}

/// An initramfs with a newer root of the same owner is no way to make a node forget what it has seen.
#[test]
fn a_newer_embedded_root_keeps_the_rollback_protection() {
    let mut world = World::new();
    let files = rotate(&mut world, RoleName::Root);
    world.root = newest_root(&files);
    let mut old = world.older.clone();
    old.extend(files.into_iter().filter(|(path, _)| path.ends_with(".root.json")));
    let error = refresh(&mut world, old, NOW).unwrap_err();
    assert!(matches!(error, WishError::Trust(TrustError::Rollback { .. })), "{error:?}");
    let files = world.pin_next();
    assert!(refresh(&mut world, files, NOW).is_ok());
}

/// Where the keys of the timestamp were changed, a thief may have numbered what was seen: the new root begins anew.
#[test]
fn a_newer_embedded_root_with_other_online_keys_begins_anew() {
    let mut world = World::new();
    let files = rotate(&mut world, RoleName::Timestamp);
    world.root = newest_root(&files);
    assert!(refresh(&mut world, files, NOW).is_ok());
    let start = trusted::start(&world.root, &world.record());
    assert!(start.files.timestamp.is_some(), "and is kept from then on");
}

/// The roots that the network brought are followed anew at every boot, from the one in the initramfs.
#[test]
fn the_chain_of_roots_is_kept_and_followed_anew() {
    let mut world = World::new();
    let files = rotate(&mut world, RoleName::Root);
    assert!(refresh(&mut world, files.clone(), NOW).is_ok());
    let record = world.record();
    assert_eq!(record.roots, [String::from_utf8(newest_root(&files)).unwrap()]);
    let start = trusted::start(&world.root, &record);
    assert_eq!((start.files.root, start.roots.len()), (newest_root(&files), 1));
    assert!(start.files.timestamp.is_some());
    // An initramfs that has the newer root needs no chain.
    let start = trusted::start(&newest_root(&files), &record);
    assert_eq!((start.files.root, start.roots.len()), (newest_root(&files), 0));
    assert!(start.files.timestamp.is_some());
    // A gap in it ends it.
    let more = rotate(&mut world, RoleName::Targets);
    let gap = vec![String::from_utf8(newest_root(&more)).unwrap()];
    let mut record = record;
    record.roots = gap;
    let start = trusted::start(&world.root, &record);
    assert_eq!((start.files.root.as_slice(), start.roots.len()), (world.root.as_slice(), 0));
}

/// Who was root on the node once wrote the record of another repository, with a root that has the highest number.
#[test]
fn a_planted_root_is_not_believed() {
    let mut world = World::new();
    let genuine = world.record();
    let mut theirs = World::new();
    let files = theirs.pin_next();
    assert!(refresh(&mut theirs, files.clone(), NOW).is_ok());
    let their_root = theirs.record().trusted.unwrap().root;
    for roots in
        [Vec::new(), vec![their_root.clone()], vec![their_root.replace("\"version\": 1", "\"version\": 2")]]
    {
        let mut planted = genuine.clone();
        planted.roots = roots;
        planted.trusted = theirs.record().trusted;
        world.save(&planted);
        assert_eq!(trusted::start(&world.root, &planted).files.root, world.root);
        // Their server is not followed, ours is.
        let error = refresh(&mut world, files.clone(), NOW).unwrap_err();
        assert!(matches!(error, WishError::Trust(TrustError::Threshold { .. })), "{error:?}");
        world.save(&planted);
        let honest = world.pin_next();
        assert!(refresh(&mut world, honest, NOW).is_ok());
        assert_eq!(world.record().trusted.unwrap().root.as_bytes(), world.root);
    }
}

/// 1,025 roots: cut at the bound, what was verified is kept, and the next boot gets on.
#[test]
fn a_chain_of_roots_is_followed_in_pieces() {
    let mut world = World::new();
    let root = signing::parse(&world.root, 1 << 20).unwrap();
    let Some(signing::Value::Object(mut content)) = root.get("signed").cloned() else { panic!() };
    let mut files = world.pin_next();
    for version in 2..=1_026 {
        content.insert("version".into(), version.into());
        let keys: Vec<&SecretKey> = world.repo.keys.root.iter().collect();
        let signed = signing::repo::sign_envelope(&signing::Value::Object(content.clone()), &keys).unwrap();
        files.insert(format!("/metadata/{version}.root.json"), signed);
    }
    let error = refresh(&mut world, files.clone(), NOW).unwrap_err();
    assert!(matches!(error, WishError::Trust(TrustError::TooManyRotations { limit: 1_024 })), "{error:?}");
    assert!(refresh(&mut world, files, NOW).is_ok());
}

//! New roots, by the network and by the initramfs.

use initramfs_agent::fleet::WishError;
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
    let start = initramfs_agent::fleet::trusted::start(&world.root, world.record().trusted.as_ref());
    assert!(start.timestamp.is_some(), "and is kept from then on");
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

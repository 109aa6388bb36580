//! What a slot must show before it is started.

use image_format::evidence::Evidence;
use image_format::record::Record;
use image_format::{ImageName, Sha256};
use initramfs_agent::fleet::evidence::{EvidenceError, check, proves};
use signing::repo::{RoleName, Section};
use signing::{SecretKey, TrustError};

use crate::common::manifest;
use crate::world::{Files, NOW, World, refresh};

fn name(text: &str) -> ImageName {
    text.parse().unwrap()
}

fn digest(image: &str) -> Sha256 {
    Sha256::of(&manifest(image, 1).to_bytes().unwrap())
}

/// What the node would put into a slot now.
fn evidence(world: &World) -> Evidence {
    Evidence::of(&world.record()).unwrap()
}

/// As at a boot: bytes from the slot, the record from the disk.
fn at_boot(world: &World, slot: &Evidence, record: &Record) -> Result<(), EvidenceError> {
    check(&world.root, &slot.to_bytes().unwrap(), record, &name("base@1"), digest("base@1"))
}

fn rotate(world: &mut World, role: RoleName) -> Files {
    let new = SecretKey::generate().unwrap();
    world.repo.repository.set_signers(role, &[new.public()], 1).unwrap();
    world.repo.keys.of_mut(role).push(new);
    let files = world.repo.publish();
    world.repo.keys.of_mut(role).remove(0);
    files
}

#[test]
fn a_released_image_boots_and_no_other() {
    let world = World::new();
    let slot = evidence(&world);
    at_boot(&world, &slot, &Record::default()).unwrap();
    let unlisted = proves(&world.root, &slot, &name("base@7"), digest("base@7"));
    assert!(matches!(unlisted, Err(EvidenceError::NotListed(_))), "{unlisted:?}");
    let other = proves(&world.root, &slot, &name("base@1"), digest("base@2"));
    assert!(matches!(other, Err(EvidenceError::Other { .. })), "{other:?}");
    let garbage = check(&world.root, b"evidence", &Record::default(), &name("base@1"), digest("base@1"));
    assert!(matches!(garbage, Err(EvidenceError::Document(_))), "{garbage:?}");
}

/// Who can write the disk can sign with keys of their own, and can name their own root; neither counts.
#[test]
fn what_a_stranger_signed_does_not_boot() {
    let (world, stranger) = (World::new(), World::new());
    let mut planted = evidence(&stranger);
    for roots in [Vec::new(), vec![String::from_utf8(stranger.root.clone()).unwrap()]] {
        planted.roots = roots;
        let mut record = world.record();
        record.trusted = stranger.record().trusted;
        let outcome = at_boot(&world, &planted, &record);
        assert!(matches!(outcome, Err(EvidenceError::Trust(TrustError::Threshold { .. }))), "{outcome:?}");
    }
}

/// A pins key lists images only in a role where they do not count.
#[test]
fn another_role_cannot_stand_for_releases() {
    let world = World::new();
    let mut slot = evidence(&world);
    slot.releases = world.record().trusted.unwrap().delegated["pins"].clone();
    let outcome = at_boot(&world, &slot, &Record::default());
    assert!(matches!(outcome, Err(EvidenceError::Trust(TrustError::Threshold { .. }))), "{outcome:?}");
}

/// The roots that came by the network travel with the slot.
#[test]
fn new_roots_are_followed_from_the_one_in_the_initramfs() {
    let mut world = World::new();
    let files = rotate(&mut world, RoleName::Targets);
    refresh(&mut world, files, NOW).unwrap();
    let slot = evidence(&world);
    assert_eq!(slot.roots.len(), 1);
    at_boot(&world, &slot, &Record::default()).unwrap();
    let cut = Evidence { roots: Vec::new(), ..slot };
    assert!(at_boot(&world, &cut, &Record::default()).is_err());
}

/// The release key was replaced, and a newer initramfs knows: what the slot holds was signed by the old one. It boots as long as the
/// newest list still names it, and no longer once it was withdrawn.
#[test]
fn a_replaced_release_key_ends_what_was_withdrawn() {
    let mut world = World::new();
    let slot = evidence(&world);
    let files = rotate(&mut world, RoleName::Releases);
    refresh(&mut world, files, NOW).unwrap();
    let mut files = rotate(&mut world, RoleName::Targets);
    refresh(&mut world, files.clone(), NOW).unwrap();
    let newest = world.record();
    world.root = files.remove("/metadata/2.root.json").unwrap();
    let alone = at_boot(&world, &slot, &Record::default());
    assert!(matches!(alone, Err(EvidenceError::Trust(TrustError::Threshold { .. }))), "{alone:?}");
    at_boot(&world, &slot, &newest).unwrap();

    world.repo.repository.remove_target(Section::Releases, &name("base@1").target_path());
    let mut withdrawn = newest;
    let files = world.repo.publish();
    let releases = files.iter().filter(|(path, _)| path.ends_with(".releases.json"));
    let (_, newest) = releases.max_by_key(|(path, _)| (path.len(), (*path).clone())).unwrap();
    let text = String::from_utf8(newest.clone()).unwrap();
    withdrawn.trusted.as_mut().unwrap().delegated.insert("releases".to_owned(), text);
    assert!(at_boot(&world, &slot, &withdrawn).is_err());
}

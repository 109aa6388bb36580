//! A floor refuses an image at once, but is the node's own only after confirmation.

use image_format::state::Decision;
use image_format::{Role, Slot};
use initramfs_agent::fleet::floor;

use crate::common::manifest;
use crate::world::{NOW, World, refresh};

#[test]
fn the_nodes_own_floor_rises_only_after_confirmation() {
    let role: Role = "base".parse().unwrap();
    let mut world = World::new();
    assert_eq!(
        floor::raise(&mut world.record()),
        Some((role.clone(), 1)),
        "what is confirmed is not below 1"
    );

    // The floor rises to 2 together with the image that reaches it.
    let digest = world.repo.release(&manifest("base@2", 2));
    world.repo.pin("cluster", "base@2", digest);
    world.repo.floor("base", 2);
    let files = world.repo.publish();
    let wish = refresh(&mut world, files, NOW).unwrap();
    let mut record = world.record();
    assert_eq!(floor::raise(&mut record), None, "base@1 is still what boots");
    let Decision::Install { slot: Slot::B, image } = world.decide(Some(&wish)) else { panic!() };
    record.state.begin_install(Slot::B, &image, None).unwrap();
    assert_eq!(floor::raise(&mut record), None, "written");
    record.state.installed(Slot::B, 3).unwrap();
    assert_eq!(floor::raise(&mut record), None, "installed");
    record.state.begin_boot(Slot::B).unwrap();
    assert_eq!(floor::raise(&mut record), None, "booted");
    assert_eq!(record.floors().of(&role), 0);
    record.state.confirm(Slot::B).unwrap();
    assert_eq!(floor::raise(&mut record), Some((role.clone(), 2)), "confirmed");
    assert_eq!(floor::raise(&mut record), None, "once");
    world.save(&record);

    // From now on the withdrawn image is refused by the node's own memory too, whatever is signed later.
    let digest = world.repo.release(&manifest("base@1", 1));
    world.repo.pin("cluster", "base@1", digest);
    world.repo.floor("base", 0);
    let files = world.repo.publish();
    let wish = refresh(&mut world, files, NOW).unwrap();
    let decision = world.decide(Some(&wish));
    assert!(matches!(decision, Decision::Boot { slot: Slot::B, note: Some(_), .. }), "{decision:?}");
}

#[test]
fn metadata_that_do_not_verify_raise_nothing() {
    let world = World::new();
    let mut record = world.record();
    let trusted = record.trusted.as_mut().unwrap();
    let targets = trusted.targets.as_mut().unwrap();
    assert!(targets.contains("\"base\": 1"), "{targets}");
    *targets = targets.replace("\"base\": 1", "\"base\": 0");
    assert_eq!(floor::raise(&mut record), None);
    record.trusted = None;
    assert_eq!(floor::raise(&mut record), None);
}

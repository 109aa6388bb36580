//! The lies.

use image_format::pin::Assignments;
use image_format::{Manifest, Sha256};
use initramfs_agent::fleet::WishError;
use initramfs_agent::http::HttpError;
use signing::repo::{Section, sign_envelope};
use signing::{JsonError, SecretKey, TrustError, Value};

use crate::common::{Repo, manifest};
use crate::world::{Files, World};

/// One lie, and what the node says to it.
pub struct Case {
    pub name: &'static str,
    /// What the server has then.
    pub attack: fn(&mut World) -> Files,
    pub expected: fn(&WishError) -> bool,
}

const fn case(name: &'static str, attack: fn(&mut World) -> Files, expected: fn(&WishError) -> bool) -> Case {
    Case { name, attack, expected }
}

pub const CASES: &[Case] = &[
    case(
        "everything as it was before",
        |world| world.older.clone(),
        |error| matches!(trust(error), Some(TrustError::Rollback { .. })),
    ),
    case(
        "somebody else's repository",
        |_| Repo::new().publish(),
        |error| matches!(trust(error), Some(TrustError::Threshold { valid: 0, .. })),
    ),
    case(
        "assignments of before under the name of the new ones",
        old_assignments,
        |error| matches!(error, WishError::Target { path, .. } if path == "pins/@assignments.json"),
    ),
    case("pins of before under the number of the new ones", old_pins, |error| {
        matches!(trust(error), Some(TrustError::HashMismatch { .. } | TrustError::LengthMismatch { .. }))
    }),
    case(
        "no pins",
        |world| without(world, ".pins.json"),
        |error| matches!(trust(error), Some(TrustError::Missing { file }) if file.ends_with(".pins.json")),
    ),
    case(
        "no manifest",
        |world| without(world, "base@1.json"),
        |error| matches!(error, WishError::Server { what, source } if what == "images/base@1.json" && source.is_not_found()),
    ),
    case("a signed snapshot as timestamp", snapshot_as_timestamp, |error| {
        matches!(trust(error), Some(TrustError::WrongType { expected: "timestamp", .. }))
    }),
    case(
        "a timestamp nested 5,000 deep",
        |world| timestamp(world, "[".repeat(5_000)),
        |error| matches!(trust(error), Some(TrustError::Json { source: JsonError::TooDeep(_), .. })),
    ),
    case(
        "a timestamp of 10 MB",
        |world| timestamp(world, "0".repeat(10_000_000)),
        |error| matches!(error, WishError::Server { source: HttpError::TooLarge { .. }, .. }),
    ),
    case(
        "a pin of an image that was never released",
        unreleased,
        |error| matches!(error, WishError::NotReleased { name } if name.to_string() == "base@9"),
    ),
    case("a pin with another digest than the release", other_digest, |error| {
        matches!(error, WishError::Disagreement { .. })
    }),
    case("the pin of another group", foreign_pin, |error| matches!(error, WishError::ForeignPin { .. })),
    case("the manifest of another image", foreign_manifest, |error| {
        matches!(error, WishError::ForeignManifest { .. })
    }),
    case(
        "an image for another architecture",
        |world| unfit(world, |to| to.arch = "arm64".into()),
        |error| matches!(error, WishError::Unfit { what: "arch", .. }),
    ),
    case(
        "an image for another class of hardware",
        |world| unfit(world, |to| to.class = "gpu".into()),
        |error| matches!(error, WishError::Unfit { what: "class", .. }),
    ),
    case("an image below the signed floor", below_floor, |error| {
        matches!(error, WishError::BelowFloor { counter: 1, floor: 2, .. })
    }),
    case("no group for this node", no_group, |error| matches!(error, WishError::NoGroup { .. })),
    case("a group without a pin", no_pin, |error| matches!(error, WishError::NoPin { .. })),
    case("a manifest signed as long as a disk", endless, |error| matches!(error, WishError::TooLong { .. })),
    case("assignments that are no text", no_text, |error| matches!(error, WishError::NotText { .. })),
    case("assignments that are no assignments", no_assignments, |error| {
        matches!(error, WishError::Document { .. })
    }),
];

fn trust(error: &WishError) -> Option<&TrustError> {
    match error {
        WishError::Trust(error) => Some(error),
        _ => None,
    }
}

fn without(world: &mut World, end: &str) -> Files {
    // A new publication, so that nothing of it is in the node's record.
    world.repo.assign_default("cluster");
    let digest = world.repo.release(&manifest("base@1", 1));
    world.repo.pin("cluster", "base@1", digest);
    world.repo.assign(&Assignments { default: Some("cluster".parse().unwrap()), ..Assignments::empty() });
    world.repo.floor("base", 0);
    world.repo.repository.set_target(Section::Pins, "pins/more.json", 1, &[1; 32], None).unwrap();
    let mut files = world.repo.publish();
    let known: Vec<String> = world.served.keys().cloned().collect();
    files.retain(|path, _| !path.ends_with(end) || end == ".pins.json" && known.contains(path));
    files
}

fn newest(files: &Files, end: &str) -> String {
    let number = |path: &str| path.rsplit('/').next()?.split('.').next()?.parse::<u64>().ok();
    let paths = files.keys().filter(|path| path.ends_with(end));
    paths.max_by_key(|path| number(path)).unwrap().clone()
}

fn old_assignments(world: &mut World) -> Files {
    let end = ".@assignments.json";
    let old = world.older.keys().find(|path| path.ends_with(end)).unwrap().clone();
    let mut assignments = Assignments::empty();
    assignments.default = Some("cluster".parse().unwrap());
    assignments.nodes.insert("52-54-00-00-00-01".parse().unwrap(), "lab".parse().unwrap());
    world.repo.assign(&assignments);
    let mut files = world.repo.publish();
    let fresh: Vec<String> = files
        .keys()
        .filter(|path| path.ends_with(end) && !world.served.contains_key(*path))
        .cloned()
        .collect();
    assert_eq!(fresh.len(), 1);
    files.insert(fresh[0].clone(), world.older[&old].clone());
    files
}

fn old_pins(world: &mut World) -> Files {
    let digest = world.repo.release(&manifest("base@2", 2));
    world.repo.pin("cluster", "base@2", digest);
    let mut files = world.repo.publish();
    let (old, new) = (newest(&world.served, ".pins.json"), newest(&files, ".pins.json"));
    assert_ne!(old, new);
    files.insert(new, world.served[&old].clone());
    files
}

fn snapshot_as_timestamp(world: &mut World) -> Files {
    let mut files = world.repo.publish();
    let snapshot = signing::parse(&files[&newest(&files, ".snapshot.json")], 1 << 20).unwrap();
    let Some(Value::Object(mut content)) = snapshot.get("signed").cloned() else { panic!() };
    content.insert("version".into(), 99.into());
    let keys: Vec<&SecretKey> = world.repo.keys.timestamp.iter().collect();
    let forged = sign_envelope(&Value::Object(content), &keys).unwrap();
    files.insert("/metadata/timestamp.json".into(), forged);
    files
}

fn timestamp(world: &mut World, text: String) -> Files {
    let mut files = world.served.clone();
    files.insert("/metadata/timestamp.json".into(), text.into_bytes());
    files
}

fn unreleased(world: &mut World) -> Files {
    world.repo.pin("cluster", "base@9", Sha256::of(b"never released"));
    world.repo.publish()
}

fn other_digest(world: &mut World) -> Files {
    world.repo.pin("cluster", "base@1", Sha256::of(b"another manifest"));
    world.repo.publish()
}

fn foreign_pin(world: &mut World) -> Files {
    let digest = world.repo.release(&manifest("base@1", 1));
    world.repo.put_pin_under("cluster", "lab", "base@1", digest);
    world.repo.publish()
}

fn foreign_manifest(world: &mut World) -> Files {
    let digest = world.repo.release_as("base@3", &manifest("base@4", 4));
    world.repo.pin("cluster", "base@3", digest);
    world.repo.publish()
}

fn unfit(world: &mut World, change: fn(&mut Manifest)) -> Files {
    let mut image = manifest("base@3", 3);
    change(&mut image);
    let digest = world.repo.release(&image);
    world.repo.pin("cluster", "base@3", digest);
    world.repo.publish()
}

fn below_floor(world: &mut World) -> Files {
    world.repo.floor("base", 2);
    world.repo.publish()
}

fn no_group(world: &mut World) -> Files {
    world.repo.assign(&Assignments::empty());
    world.repo.publish()
}

fn no_pin(world: &mut World) -> Files {
    world.repo.assign_default("empty");
    world.repo.publish()
}

fn endless(world: &mut World) -> Files {
    let digest = Sha256::of(b"long");
    let path = "images/base@3.json";
    world.repo.repository.set_target(Section::Releases, path, 1 << 40, digest.as_bytes(), None).unwrap();
    world.repo.pin("cluster", "base@3", digest);
    world.repo.publish()
}

fn put_assignments(world: &mut World, bytes: &[u8]) -> Files {
    let digest = Sha256::of(bytes);
    let (path, length) = ("pins/@assignments.json", bytes.len() as u64);
    world.repo.repository.set_target(Section::Pins, path, length, digest.as_bytes(), None).unwrap();
    let mut files = world.repo.publish();
    files.insert(format!("/targets/pins/{digest}.@assignments.json"), bytes.to_vec());
    files
}

fn no_text(world: &mut World) -> Files {
    put_assignments(world, b"{\"format\":1,\"default\":\"cluster\",\"nodes\":{}}\xff")
}

fn no_assignments(world: &mut World) -> Files {
    put_assignments(world, b"{\"format\":1,\"default\":7}")
}

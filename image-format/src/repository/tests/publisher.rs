//! An admin with keys, for tests: makes small images, pins, and what is to be uploaded.

use std::collections::BTreeMap;

use signing::online::{OnlineKeys, OnlineRole};
use signing::repo::{Lifetimes, Repository, RoleKeys, RoleName, Section};
use signing::{SecretKey, UnixTime, Value};

use crate::codec::encode;
use crate::index::{Entry, Index};
use crate::manifest::ObjectRef;
use crate::pin::{ASSIGNMENTS_PATH, Assignments, PIN_FORMAT, Pin, PinnedImage, pin_path};
use crate::repository::Upload;
use crate::store::Store;
use crate::{ChunkId, Group, Manifest, ObjectId, Sha256};

pub(super) const NOW: UnixTime = UnixTime(1_800_000_000);

#[derive(Clone)]
pub(super) struct Publisher {
    seeds: BTreeMap<RoleName, Vec<u8>>,
    repo: Repository,
    targets: BTreeMap<String, Vec<u8>>,
}

/// The objects of a small image and its manifest.
pub(super) struct Image {
    pub(super) manifest: Manifest,
    pub(super) objects: Vec<Vec<u8>>,
}

impl Publisher {
    pub(super) fn new() -> Self {
        Self::with_keys(1)
    }

    /// Another admin for every number.
    pub(super) fn with_keys(number: u8) -> Self {
        let seeds = RoleName::ALL.iter().zip(number * 10..).map(|(role, seed)| (*role, vec![seed])).collect();
        let repo = Repository::create(&keys(&seeds), Lifetimes::default());
        Self { seeds, repo, targets: BTreeMap::new() }
    }

    /// Lists an image; its manifest goes along with the next upload.
    pub(super) fn list(&mut self, manifest: &Manifest) -> Sha256 {
        let bytes = manifest.to_bytes().unwrap();
        self.list_bytes(Section::Releases, &manifest.name.target_path(), bytes)
    }

    pub(super) fn list_bytes(&mut self, section: Section, path: &str, bytes: Vec<u8>) -> Sha256 {
        let digest = Sha256::of(&bytes);
        self.repo.set_target(section, path, bytes.len() as u64, digest.as_bytes(), None).unwrap();
        let (dir, file) = path.split_once('/').unwrap();
        self.targets.insert(format!("{dir}/{digest}.{file}"), bytes);
        digest
    }

    pub(super) fn unlist(&mut self, section: Section, path: &str) {
        assert!(self.repo.remove_target(section, path));
    }

    pub(super) fn pin(&mut self, group: &str, image: &str, manifest: Sha256) {
        let group: Group = group.parse().unwrap();
        let stable = PinnedImage { name: image.parse().unwrap(), manifest };
        let pin = Pin { format: PIN_FORMAT, group: group.clone(), stable, disk: None };
        self.list_bytes(Section::Pins, &pin_path(&group), pin.to_bytes().unwrap());
    }

    pub(super) fn assign(&mut self, assignments: &Assignments) {
        self.list_bytes(Section::Pins, ASSIGNMENTS_PATH, assignments.to_bytes().unwrap());
    }

    pub(super) fn floor(&mut self, custom: Option<Value>) {
        let digest = Sha256::of(b"");
        self.repo.set_target(Section::Targets, "floor", 0, digest.as_bytes(), custom).unwrap();
    }

    /// New keys for a role; the old ones still sign a change of root.
    pub(super) fn rotate(&mut self, role: RoleName, seed: u8) {
        let seeds = self.seeds.entry(role).or_default();
        if role != RoleName::Root {
            seeds.clear();
        }
        seeds.push(seed);
        self.repo.set_signers(role, &[key(seed).public()], 1).unwrap();
    }

    /// The keys of snapshot and timestamp, for a server.
    pub(super) fn online_keys(&self) -> OnlineKeys {
        let mut online = OnlineKeys::default();
        for (role, name) in
            [(OnlineRole::Snapshot, RoleName::Snapshot), (OnlineRole::Timestamp, RoleName::Timestamp)]
        {
            self.seeds[&name].iter().for_each(|seed| online.add(role, key(*seed)));
        }
        online
    }

    /// Signs the changes; snapshot and timestamp are left to a server. Each role that changed says what it replaces.
    pub(super) fn offline_upload(&mut self) -> Upload {
        let before = self.repo.files().delegated.clone();
        let mut upload = self.upload();
        upload.metadata.retain(|name, _| !name.contains("snapshot") && name != "timestamp.json");
        for (role, old) in before {
            if upload.metadata.keys().any(|name| name.ends_with(&format!(".{role}.json"))) {
                upload.base.insert(role, Sha256::of(&old));
            }
        }
        upload
    }

    /// Signs the changes.
    pub(super) fn upload(&mut self) -> Upload {
        self.upload_at(NOW)
    }

    pub(super) fn upload_at(&mut self, now: UnixTime) -> Upload {
        let metadata = self.repo.write(&keys(&self.seeds), now).unwrap();
        Upload { metadata, targets: self.targets.clone(), ..Upload::default() }
    }
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32]).unwrap()
}

fn keys(seeds: &BTreeMap<RoleName, Vec<u8>>) -> RoleKeys {
    let mut keys = RoleKeys::default();
    for (role, seeds) in seeds {
        keys.of_mut(*role).extend(seeds.iter().map(|seed| key(*seed)));
    }
    keys
}

/// A small image; `content` makes it another one.
pub(super) fn image(name: &str, content: &str) -> Image {
    let mut objects = Vec::new();
    let mut object = |bytes: Vec<u8>| {
        let reference = ObjectRef { id: ObjectId::of(&bytes), size: bytes.len() as u64 };
        objects.push(bytes);
        reference
    };
    let mut entry = |text: String| {
        let plain = text.as_bytes().repeat(8192 / text.len() + 1)[..8192].to_vec();
        let stored = object(encode(&plain));
        Entry {
            chunk: ChunkId::of(&plain),
            object: stored.id,
            plain_len: 8192,
            stored_len: stored.size as u32,
        }
    };
    let (common, own) = (entry("in every image".into()), entry(format!("{name} {content}")));
    let index = Index::new(vec![common, Entry::zero(4096), own, common]).unwrap();

    let mut manifest = crate::manifest::tests::sample();
    manifest.name = name.parse().unwrap();
    manifest.root.size = index.plain_size();
    manifest.root.index = object(index.encode());
    manifest.kernel.object = object(format!("kernel of {name} {content}").into());
    manifest.initramfs = object("initramfs".into());
    manifest.files = object(format!("files of {name} {content}").into());
    manifest.bios = None;
    manifest.sbom = Some(object("bill of materials".into()));
    Image { manifest, objects }
}

/// An image whose objects are in the store.
pub(super) fn stored_image(store: &Store, name: &str, content: &str) -> Manifest {
    let image = image(name, content);
    let mut batch = store.batch().unwrap();
    for object in &image.objects {
        batch.put(object).unwrap();
    }
    batch.commit().unwrap();
    image.manifest
}

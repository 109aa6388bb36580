//! A tiny repository, signed with fixed keys.

use std::collections::BTreeMap;
use std::path::Path;

use fleet_protocol::Commit;
use image_format::index::{Entry, Index};
use image_format::manifest::ObjectRef;
use image_format::patch::{EntryRun, Segment, SegmentTable, encode_segment};
use image_format::patches::{Patches, Stream, patches_path};
use image_format::pin::{ASSIGNMENTS_PATH, Assignments, PIN_FORMAT, Pin, PinnedImage, pin_path};
use image_format::repository::Upload;
use image_format::store::Store;
use image_format::test_images::manifest;
use image_format::{BLOCK, ChunkId, Group, ImageName, Manifest, ObjectId, Sha256, codec};
use signing::online::{OnlineKeys, OnlineRole};
use signing::repo::{Lifetimes, Repository, RoleKeys, RoleName, Section};
use signing::{PublicKey, SecretKey, UnixTime};

pub struct Publication {
    keys: RoleKeys,
    repository: Repository,
    now: UnixTime,
    /// Snapshot and timestamp are signed by the server.
    online: bool,
    assignments: Assignments,
    manifests: BTreeMap<ImageName, Sha256>,
    pub objects: BTreeMap<ObjectId, Vec<u8>>,
    pub metadata: BTreeMap<String, Vec<u8>>,
    pub targets: BTreeMap<String, Vec<u8>>,
}

/// An image that was added.
pub struct Image {
    pub manifest: Manifest,
    pub digest: Sha256,
    pub index: Index,
}

/// The plain bytes of a chunk.
pub fn plain_chunk(image: &str, number: u64, blocks: u64) -> Vec<u8> {
    let text = format!("{image} chunk {number} ");
    text.bytes().cycle().take(usize::try_from(blocks * BLOCK).unwrap()).collect()
}

pub fn object(bytes: &[u8]) -> ObjectRef {
    ObjectRef { id: ObjectId::of(bytes), size: bytes.len() as u64 }
}

impl Publication {
    pub fn new() -> Self {
        Self::signed_at(server::app::now(), Lifetimes::default(), 0)
    }

    /// Another `seed`: other keys.
    pub fn signed_at(now: UnixTime, lifetimes: Lifetimes, seed: u8) -> Self {
        let mut keys = RoleKeys::default();
        for (number, role) in (1..).zip(RoleName::ALL) {
            keys.of_mut(role).push(SecretKey::from_seed(&[seed + number; 32]).unwrap());
        }
        let repository = Repository::create(&keys, lifetimes);
        Self {
            keys,
            repository,
            now,
            online: false,
            assignments: Assignments::empty(),
            manifests: BTreeMap::new(),
            objects: BTreeMap::new(),
            metadata: BTreeMap::new(),
            targets: BTreeMap::new(),
        }
    }

    /// Snapshot and timestamp are for the holder of `server`.
    pub fn online(now: UnixTime, lifetimes: Lifetimes, server: &OnlineKeys) -> Self {
        let mut publication = Self::signed_at(now, lifetimes, 0);
        publication.list(server, |keys| keys.to_vec());
        publication
    }

    /// A new root lists the keys of `server` for snapshot and timestamp, and no others.
    pub fn hand_over(&mut self, server: &OnlineKeys) {
        self.list(server, |keys| keys.to_vec());
        self.sign();
    }

    /// The same with the last of them.
    pub fn hand_over_to_newest(&mut self, server: &OnlineKeys) {
        self.list(server, |keys| keys.last().copied().into_iter().collect());
        self.sign();
    }

    fn list(&mut self, server: &OnlineKeys, choose: impl Fn(&[PublicKey]) -> Vec<PublicKey>) {
        for (role, name) in
            [(OnlineRole::Snapshot, RoleName::Snapshot), (OnlineRole::Timestamp, RoleName::Timestamp)]
        {
            self.repository.set_signers(name, &choose(&server.public(role)), 1).unwrap();
        }
        self.online = true;
        self.metadata.retain(|name, _| !name.contains("snapshot") && name != "timestamp.json");
    }

    /// Signs these roles anew at another time.
    pub fn renew_at(&mut self, now: UnixTime, roles: &[RoleName]) {
        roles.iter().for_each(|role| self.repository.renew(*role));
        self.now = now;
        self.sign();
    }

    /// Publishes straight into a data directory.
    pub fn commit_to(&self, data: &Path) {
        let store = Store::create(data).unwrap();
        let mut batch = store.batch().unwrap();
        for object in self.objects.values() {
            batch.put(object).unwrap();
        }
        batch.commit().unwrap();
        let repository = image_format::repository::Repository::open(&store);
        repository.commit(self.clone_files(), self.now).unwrap();
    }

    /// The same files, to be changed.
    pub fn clone_files(&self) -> Upload {
        Upload { metadata: self.metadata.clone(), targets: self.targets.clone(), ..Upload::default() }
    }

    /// Adds an image whose root is: four chunks, a zero run, and the first chunk again.
    pub fn image(&mut self, name: &str, counter: u64) -> Image {
        let plain = |number, blocks| plain_chunk(name, number, blocks);
        let mut entries = Vec::new();
        let mut chunk = |publication: &mut Self, plain: &[u8]| {
            let stored = codec::encode(plain);
            let (plain_len, stored_len) = (plain.len().try_into().unwrap(), stored.len().try_into().unwrap());
            entries.push(Entry {
                chunk: ChunkId::of(plain),
                object: ObjectId::of(&stored),
                plain_len,
                stored_len,
            });
            publication.objects.insert(ObjectId::of(&stored), stored);
        };
        for number in 0..4 {
            chunk(self, &plain(number, number + 4));
        }
        chunk(self, &plain(0, 4));
        entries.insert(4, Entry::zero(u32::try_from(8 * BLOCK).unwrap()));
        let index = Index::new(entries).unwrap();

        let mut manifest = manifest(name, counter);
        manifest.root.size = index.plain_size();
        manifest.root.index = self.add_object(&index.encode());
        manifest.kernel.object = self.add_object(format!("kernel of {name}").repeat(100).as_bytes());
        manifest.initramfs = self.add_object(format!("initramfs of {name}").repeat(200).as_bytes());
        manifest.files = self.add_object(format!("files of {name}").as_bytes());
        manifest.sbom = Some(self.add_object(format!("parts of {name}").as_bytes()));
        let bytes = manifest.to_bytes().unwrap();
        let digest = self.target(Section::Releases, &manifest.name.target_path(), bytes);
        self.manifests.insert(manifest.name.clone(), digest);
        Image { manifest, digest, index }
    }

    /// Lists the whole stream of `image`, of two segments. Returns the table's id and the stored segments.
    pub fn stream(&mut self, image: &Image, plain: &[Vec<u8>]) -> (ObjectId, Vec<Vec<u8>>) {
        let mut first = 0;
        let mut stored = Vec::new();
        let segments = plain.iter().map(|plain| {
            let bytes = encode_segment(plain, b"", 3).unwrap();
            let entries = vec![EntryRun { first, count: 1 }];
            first += 1;
            let (stored_len, plain_len) = (bytes.len().try_into().unwrap(), plain.len().try_into().unwrap());
            let object = ObjectId::of(&bytes);
            stored.push(bytes);
            Segment { object, stored_len, plain_len, base: Vec::new(), entries }
        });
        let table = SegmentTable::new(None, image.manifest.root.index.id, segments.collect()).unwrap();
        for segment in &stored {
            self.add_object(segment);
        }
        let mut patches = Patches::empty(image.manifest.name.clone(), image.digest);
        let object = self.add_object(&table.encode());
        patches.stream = Some(Stream { table: object, bytes: table.stored_bytes() });
        self.target(Section::Releases, &patches_path(&image.manifest.name), patches.to_bytes().unwrap());
        (object.id, stored)
    }

    pub fn add_object(&mut self, bytes: &[u8]) -> ObjectRef {
        self.objects.insert(ObjectId::of(bytes), bytes.to_vec());
        object(bytes)
    }

    pub fn pin(&mut self, group: &str, image: &str) {
        let group: Group = group.parse().unwrap();
        let name: ImageName = image.parse().unwrap();
        let stable = PinnedImage { manifest: self.manifests[&name], name };
        let path = pin_path(&group);
        let pin = Pin { format: PIN_FORMAT, group, stable, disk: None };
        self.target(Section::Pins, &path, pin.to_bytes().unwrap());
    }

    pub fn assign(&mut self, node: &str, group: &str) {
        self.assignments.nodes.insert(node.parse().unwrap(), group.parse().unwrap());
        let bytes = self.assignments.to_bytes().unwrap();
        self.target(Section::Pins, ASSIGNMENTS_PATH, bytes);
    }

    fn target(&mut self, section: Section, path: &str, bytes: Vec<u8>) -> Sha256 {
        let digest = Sha256::of(&bytes);
        self.repository.set_target(section, path, bytes.len() as u64, digest.as_bytes(), None).unwrap();
        let (directory, name) = path.split_once('/').unwrap();
        self.targets.insert(format!("{directory}/{digest}.{name}"), bytes);
        digest
    }

    /// Signs what changed; `metadata` then holds every file ever signed.
    pub fn sign(&mut self) {
        if !self.online {
            self.metadata.extend(self.repository.write(&self.keys, self.now).unwrap());
            return;
        }
        let mut proposal = self.repository.propose(self.now).unwrap();
        for role in proposal.roles() {
            for key in self.keys.of(role) {
                proposal.sign(&self.repository, role, key).unwrap();
            }
        }
        self.repository.accept(&proposal).unwrap();
        self.metadata.extend(self.repository.accepted().clone());
    }

    pub fn pack(&self) -> Vec<u8> {
        pack(self.objects.values().map(Vec::as_slice))
    }

    pub fn commit(&self) -> Vec<u8> {
        commit_of(&self.clone_files())
    }
}

/// The body of a commit.
pub fn commit_of(upload: &Upload) -> Vec<u8> {
    let text = |(name, bytes): (&String, &Vec<u8>)| (name.clone(), String::from_utf8(bytes.clone()).unwrap());
    let commit = Commit {
        metadata: upload.metadata.iter().map(text).collect(),
        targets: upload.targets.iter().map(text).collect(),
        base: upload.base.clone(),
    };
    serde_json::to_vec(&commit).unwrap()
}

/// A pack stream.
pub fn pack<'o>(objects: impl IntoIterator<Item = &'o [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for object in objects {
        bytes.extend(ObjectId::of(object).as_bytes());
        bytes.extend(u32::try_from(object.len()).unwrap().to_le_bytes());
        bytes.extend(object);
    }
    bytes
}

/// One image `ha@1`, pinned for group `rack`, to which node `52-54-00-12-34-56` belongs.
pub fn one_image() -> (Publication, Image) {
    let mut publication = Publication::new();
    let image = publication.image("ha@1", 1);
    publication.pin("rack", "ha@1");
    publication.assign("52-54-00-12-34-56", "rack");
    publication.sign();
    (publication, image)
}

//! Tiny images, a server in memory and a disk, for the other tests.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;

use image_format::device::Device;
use image_format::device::sim::SimDevice;
use image_format::disk_layout::{Layout, Partition};
use image_format::index::{Entry, Index};
use image_format::manifest::{DiskSizes, ObjectRef};
use image_format::record::{ImageRef, Record};
use image_format::state::{Arrival, Decision, Wanted, decide};
use image_format::verity::Builder;
use image_format::{BLOCK, ChunkId, Manifest, ObjectId, Sha256, Slot, codec, test_images};

use super::super::install::{
    ChunkSource, Context, EntrySink, InstallStats, Job, Refused, SourceError, Stopped, Ways,
};
use super::super::update::{Update, UpdateError, save};
use super::super::{BootDisk, SlotImage};

pub(super) const DISK: u64 = 352 << 20;

/// An image with everything that belongs to it.
pub(super) struct Image {
    pub(super) manifest: Manifest,
    pub(super) bytes: Vec<u8>,
    pub(super) index: Index,
    pub(super) index_bytes: Vec<u8>,
    pub(super) root: Vec<u8>,
}

impl Image {
    pub(super) fn reference(&self) -> ImageRef {
        ImageRef::of(&self.manifest, Sha256::of(&self.bytes))
    }

    pub(super) fn wanted(&self) -> Wanted {
        Wanted { image: self.reference(), attempts: self.manifest.health.attempts }
    }

    pub(super) fn job(&self) -> Job<'_> {
        Job {
            manifest_bytes: &self.bytes,
            manifest: &self.manifest,
            index_bytes: &self.index_bytes,
            evidence: b"evidence",
            resume: false,
            ways: Ways::default(),
        }
    }
}

/// A server that has everything, and may be told to misbehave.
#[derive(Default)]
pub(super) struct Server {
    pub(super) objects: HashMap<ObjectId, Vec<u8>>,
    /// Objects given, in order: chunks and others.
    pub(super) given: Vec<ObjectId>,
    /// Fails after that many objects.
    pub(super) dies_after: Option<usize>,
    /// Gives entries in the opposite order.
    pub(super) backwards: bool,
    /// Leaves the last entry of every batch out.
    pub(super) forgets_last: bool,
    /// Says that it does not have what it does not have, and works.
    pub(super) refuses: bool,
}

impl Server {
    fn give(&mut self, id: ObjectId) -> Result<Vec<u8>, SourceError> {
        if self.dies_after.is_some_and(|limit| self.given.len() >= limit) {
            return Err("connection reset".into());
        }
        self.given.push(id);
        match self.objects.get(&id) {
            Some(object) => Ok(object.clone()),
            None if self.refuses => Err(Refused("404 Not Found".into()).into()),
            None => Err("404 Not Found".into()),
        }
    }
}

impl ChunkSource for Server {
    fn fetch(
        &mut self,
        index: &ObjectRef,
        entries: &Index,
        wanted: &[usize],
        sink: &mut EntrySink<'_>,
    ) -> Result<(), SourceError> {
        assert!(self.objects.contains_key(&index.id), "batches are asked for by a published index");
        let mut wanted = wanted.to_vec();
        if self.backwards {
            wanted.reverse();
        }
        if self.forgets_last {
            wanted.pop();
        }
        for number in wanted {
            let stored = self.give(entries.entries()[number].object)?;
            sink(number, &stored)?;
        }
        Ok(())
    }

    fn fetch_object(
        &mut self,
        object: &ObjectRef,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Stopped>,
    ) -> Result<(), SourceError> {
        let bytes = self.give(object.id)?;
        bytes.chunks(1000).try_for_each(sink)?;
        Ok(())
    }
}

/// Bytes that compress to about half and differ by `seed`. The upper half of it is a variant: a few bytes in each block.
fn plain(seed: u64, blocks: usize) -> Vec<u8> {
    if seed >> 32 != 0 {
        let mut bytes = plain(seed & 0xffff_ffff, blocks);
        for block in bytes.chunks_exact_mut(BLOCK as usize) {
            block[8..16].copy_from_slice(&seed.to_le_bytes());
        }
        return bytes;
    }
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0; blocks * BLOCK as usize];
    for word in bytes.chunks_exact_mut(16) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        word[..8].copy_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// An image of chunks made from `seeds` (0 is a run of zeros), with `server` having all of it.
pub(super) fn image(server: &mut Server, name: &str, counter: u64, seeds: &[u64]) -> Image {
    let mut put = |bytes: Vec<u8>| {
        let object = ObjectRef { id: ObjectId::of(&bytes), size: bytes.len() as u64 };
        server.objects.insert(object.id, bytes);
        object
    };
    let mut root = Vec::new();
    let mut entries = Vec::new();
    for seed in seeds {
        let blocks = 1 + (*seed as u32 as usize) % 3;
        if *seed == 0 {
            root.resize(root.len() + BLOCK as usize, 0);
            entries.push(Entry::zero(BLOCK as u32));
            continue;
        }
        let plain = plain(*seed, blocks);
        let stored = codec::encode(&plain);
        let (plain_len, stored_len) = (plain.len() as u32, stored.len() as u32);
        let (chunk, object) = (ChunkId::of(&plain), put(stored).id);
        entries.push(Entry { chunk, object, plain_len, stored_len });
        root.extend_from_slice(&plain);
    }
    let index = Index::new(entries).unwrap();
    let index_bytes = index.encode();
    let mut manifest = test_images::manifest(name, counter);
    manifest.root.size = root.len() as u64;
    manifest.root.index = put(index_bytes.clone());
    // Versions 1 and 2 share the kernel; every version has its own initramfs.
    manifest.kernel.object = put(plain(1000 + counter / 3, 3)[..9000].to_vec());
    manifest.initramfs = put(plain(2000 + counter, 2)[..5000].to_vec());
    let mut builder = Builder::new(manifest.root.verity.salt, root.len() as u64).unwrap();
    builder.update(&root);
    manifest.root.verity.root_hash = builder.finish().unwrap().root_hash;
    let bytes = manifest.to_bytes().unwrap();
    Image { manifest, bytes, index, index_bytes, root }
}

/// Two images of about forty chunks that differ in six; the second one has two equal chunks that the first one lacks.
pub(super) fn two_images(server: &mut Server) -> (Image, Image) {
    let first: Vec<u64> = (1..=40).map(|seed| if seed % 10 == 0 { 0 } else { seed }).collect();
    let mut second = first.clone();
    for (place, seed) in [(3, 103), (11, 111), (12, 112), (20, 103), (33, 133), (39, 139)] {
        second[place] = seed;
    }
    second.insert(5, 105);
    (image(server, "ha@1", 1, &first), image(server, "ha@2", 2, &second))
}

pub(super) type SimDisk = BootDisk<SimDevice>;

pub(super) fn layout() -> Layout {
    Layout::plan(DISK, &DiskSizes { slot_mib: 24, state_mib: 4 }).unwrap()
}

pub(super) fn new_disk() -> SimDisk {
    let disk = BootDisk::new("sim", SimDevice::new(DISK), layout());
    disk.write_layout(&|| Ok(())).unwrap();
    disk
}

pub(super) fn disk_from(device: SimDevice) -> SimDisk {
    BootDisk::new("sim", device, layout())
}

pub(super) fn update(
    disk: &SimDisk,
    slot: Slot,
    image: &Image,
    server: &mut Server,
) -> Result<InstallStats, UpdateError> {
    update_with(disk, slot, image, server, &|| Ok(()))
}

/// An update by the record on the disk, with `cold` in place of emptying caches.
pub(super) fn update_with(
    disk: &SimDisk,
    slot: Slot,
    image: &Image,
    server: &mut Server,
    cold: &dyn Fn() -> io::Result<()>,
) -> Result<InstallStats, UpdateError> {
    let mut record = disk.load_record().record.unwrap_or_default();
    let update = Update { slot, running: None, job: image.job(), local_cmdline: "panic=10" };
    let mut context = Context { source: server, cold, progress: &mut |_| {} };
    update.run(disk, &mut record, &mut context)
}

/// Boots and confirms `slot`.
pub(super) fn confirm(disk: &SimDisk, slot: Slot) {
    let mut record = disk.load_record().record.unwrap();
    save(disk, &mut record, |next| next.state.begin_boot(slot).map(drop)).unwrap();
    save(disk, &mut record, |next| next.state.confirm(slot)).unwrap();
    disk.grub_prefer(slot).unwrap();
}

/// A disk with `first` confirmed in A.
pub(super) fn confirmed_disk(first: &Image, server: &mut Server) -> SimDisk {
    let disk = new_disk();
    update(&disk, Slot::A, first, server).unwrap();
    confirm(&disk, Slot::A);
    disk
}

pub(super) fn range(partition: Partition) -> Range<u64> {
    let extent = layout().extent(partition);
    extent.offset..extent.end()
}

/// The bytes of slot A, to compare.
pub(super) fn slot_a(disk: &SimDisk) -> BTreeMap<u64, Vec<u8>> {
    disk.device().content(range(Partition::Slot(Slot::A)))
}

pub(super) fn record(disk: &SimDisk) -> Record {
    disk.load_record().record.expect("a record is there")
}

pub(super) fn decision(disk: &SimDisk, wanted: Option<&Image>) -> Decision {
    decide(&record(disk), wanted.map(Image::wanted).as_ref(), Arrival::Firmware)
}

/// The slot holds exactly `image`: proof, root, kernel and initramfs.
pub(super) fn assert_holds(disk: &SimDisk, slot: Slot, image: &Image, server: &Server) {
    let SlotImage { digest, layout, .. } = disk.slot_image(slot).unwrap();
    assert_eq!(digest, Sha256::of(&image.bytes));
    let window = disk.slot(slot);
    assert!(window.read_vec(0, image.root.len()).unwrap() == image.root, "root of slot {slot}");
    let mut builder = Builder::new(image.manifest.root.verity.salt, image.root.len() as u64).unwrap();
    builder.update(&image.root);
    let tree = builder.finish().unwrap().bytes;
    assert!(window.read_vec(layout.verity.offset, tree.len()).unwrap() == tree, "tree of slot {slot}");
    for (extent, object) in
        [(layout.kernel, image.manifest.kernel.object), (layout.initramfs, image.manifest.initramfs)]
    {
        let found = window.read_vec(extent.offset, extent.len.next_multiple_of(512) as usize).unwrap();
        let mut expected = server.objects[&object.id].clone();
        expected.resize(expected.len().next_multiple_of(512), 0);
        assert!(found == expected, "kernel or initramfs of slot {slot}");
    }
}

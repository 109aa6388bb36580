//! A server's images, and what is true about them.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use image_format::device::Device;
use image_format::device::sim::SimDevice;
use image_format::disk_layout::{Layout, Partition};
use image_format::index::{Entry, Index};
use image_format::manifest::{BiosBoot, DiskSizes, ObjectRef};
use image_format::slot_layout::SlotLayout;
use image_format::verity::Builder;
use image_format::{BLOCK, ChunkId, ObjectId, Sha256, Slot, codec, test_images};

use super::super::world::{Image, Server};
use crate::disk::BootDisk;

/// How often each image may be tried.
pub(super) const ATTEMPTS: u8 = 3;

const SIZES: DiskSizes = DiskSizes { slot_mib: 18, state_mib: 1 };

/// The disk as the agent uses it.
pub(super) type NodeDisk<'d> = BootDisk<&'d SimDevice>;

/// All that is outside of the node.
pub(super) struct Site {
    pub(super) images: Vec<Image>,
    /// Numbers of images whose health checks fail.
    pub(super) bad: Vec<usize>,
    objects: HashMap<ObjectId, Vec<u8>>,
    /// What [`Site::slot_holds`] compares with: root, tree, kernel, initramfs, at their places.
    parts: Vec<Vec<(u64, Vec<u8>)>>,
}

impl Site {
    pub(super) fn new(mut server: Server, images: Vec<Image>, bad: Vec<usize>) -> Self {
        let parts = images.iter().map(|image| parts(image, &server)).collect();
        let objects = std::mem::take(&mut server.objects);
        Self { images, bad, objects, parts }
    }

    /// Four tiny images of one role; the third one is bad. All but the first two have a kernel of their own.
    pub(super) fn tiny() -> Self {
        let mut server = Server::default();
        let images: Vec<Image> = [(1, 1), (2, 1), (3, 3), (4, 4)]
            .into_iter()
            .map(|(number, kernel)| tiny_image(&mut server, number, kernel))
            .collect();
        Self::new(server, images, vec![2])
    }

    pub(super) fn server(&self) -> Server {
        Server { objects: self.objects.clone(), ..Server::default() }
    }

    pub(super) fn object(&self, id: ObjectId) -> anyhow::Result<&[u8]> {
        self.objects.get(&id).map(Vec::as_slice).context("the server lacks an object")
    }

    /// The number of the image whose manifest has this digest.
    pub(super) fn number(&self, manifest: Sha256) -> Option<usize> {
        self.images.iter().position(|image| Sha256::of(&image.bytes) == manifest)
    }

    pub(super) fn is_bad(&self, manifest: Sha256) -> bool {
        self.number(manifest).is_some_and(|number| self.bad.contains(&number))
    }

    /// Whether `slot` holds image `number` to the last byte.
    pub(super) fn slot_holds(&self, disk: &NodeDisk<'_>, slot: Slot, number: usize) -> anyhow::Result<()> {
        let window = disk.slot(slot);
        let mut buffer = Vec::new();
        for (offset, expected) in &self.parts[number] {
            buffer.resize(expected.len(), 0);
            window.read_at(&mut buffer, *offset)?;
            ensure!(buffer == *expected, "slot {slot}: other bytes than image {number} has at {offset}");
        }
        Ok(())
    }

    /// The numbers of the images whose kernel and initramfs lie at these places of `slot`.
    pub(super) fn started_by(
        &self,
        disk: &NodeDisk<'_>,
        slot: Slot,
        [kernel, initramfs]: [u64; 2],
    ) -> Vec<usize> {
        let window = disk.slot(slot);
        let is_there = |offset: u64, id: ObjectId| {
            let expected = &self.objects[&id];
            window.read_vec(offset, expected.len()).is_ok_and(|found| found == *expected)
        };
        let numbers = (0..self.images.len()).filter(|number| {
            let manifest = &self.images[*number].manifest;
            is_there(kernel, manifest.kernel.object.id) && is_there(initramfs, manifest.initramfs.id)
        });
        numbers.collect()
    }
}

pub(super) fn layout() -> Layout {
    Layout::plan(DISK, &SIZES).unwrap()
}

/// Length of the disk.
pub(super) const DISK: u64 = 316 << 20;

pub(super) fn node_disk(device: &SimDevice) -> NodeDisk<'_> {
    BootDisk::new("sim", device, layout())
}

pub(super) fn partition_start(partition: Partition) -> u64 {
    layout().extent(partition).offset
}

fn parts(image: &Image, server: &Server) -> Vec<(u64, Vec<u8>)> {
    let place = SlotLayout::of(&image.manifest, layout().slot_len()).unwrap();
    let mut builder = Builder::new(image.manifest.root.verity.salt, image.root.len() as u64).unwrap();
    builder.update(&image.root);
    let tree = builder.finish().unwrap().bytes;
    let object = |id: ObjectId| {
        let mut bytes = server.objects[&id].clone();
        bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
        bytes
    };
    vec![
        (0, image.root.clone()),
        (place.verity.offset, tree),
        (place.kernel.offset, object(image.manifest.kernel.object.id)),
        (place.initramfs.offset, object(image.manifest.initramfs.id)),
    ]
}

/// Two chunks with one sector each that is not zero, the first of which two neighbours share; one sector of kernel and one of
/// initramfs.
fn tiny_image(server: &mut Server, number: u8, kernel: u8) -> Image {
    let mut put = |bytes: Vec<u8>| {
        let object = ObjectRef { id: ObjectId::of(&bytes), size: bytes.len() as u64 };
        server.objects.insert(object.id, bytes);
        object
    };
    let mut root = Vec::new();
    let mut entries = Vec::new();
    for fill in [number / 2, 100 + number, 0] {
        let mut plain = vec![0; BLOCK as usize];
        plain[512..540].fill(fill);
        if fill == 0 {
            entries.push(Entry::zero(BLOCK as u32));
        } else {
            let stored = put(codec::encode(&plain));
            let (plain_len, stored_len) = (plain.len() as u32, stored.size as u32);
            entries.push(Entry { chunk: ChunkId::of(&plain), object: stored.id, plain_len, stored_len });
        }
        root.extend_from_slice(&plain);
    }
    let index = Index::new(entries).unwrap();
    let index_bytes = index.encode();
    let mut manifest = test_images::manifest(&format!("ha@{number}"), number.into());
    manifest.health.attempts = ATTEMPTS;
    manifest.disk = SIZES;
    manifest.root.size = root.len() as u64;
    manifest.root.index = put(index_bytes.clone());
    manifest.kernel.object = put(vec![200 + kernel; 300]);
    manifest.initramfs = put(vec![220 + number; 400]);
    manifest.bios = Some(BiosBoot { object: put(bios_object(number)) });
    let mut builder = Builder::new(manifest.root.verity.salt, root.len() as u64).unwrap();
    builder.update(&root);
    manifest.root.verity.root_hash = builder.finish().unwrap().root_hash;
    let bytes = manifest.to_bytes().unwrap();
    Image { manifest, bytes, index, index_bytes, root }
}

/// Boot code and a core image of two sectors, with the fields that `grub-mkimage` sets.
fn bios_object(fill: u8) -> Vec<u8> {
    let mut object = vec![fill; 440 + 2 * 512];
    object[0] = 0xeb;
    let list = 440 + 0x1f4;
    object[list + 8..list + 10].copy_from_slice(&1_u16.to_le_bytes());
    object[list + 10..list + 12].copy_from_slice(&0x820_u16.to_le_bytes());
    object
}

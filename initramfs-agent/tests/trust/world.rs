//! A node: its disk in a file, its boot record, and the repository that it follows.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::Duration;

use image_format::Slot;
use image_format::device::{Device as _, FileDevice};
use image_format::disk_layout::Layout;
use image_format::manifest::DiskSizes;
use image_format::record::{ImageRef, Record};
use image_format::state::{Arrival, Decision, Wanted, decide};
use initramfs_agent::disk::BootDisk;
use initramfs_agent::fleet::wish::ask;
use initramfs_agent::fleet::{Server, Wish, WishError};
use signing::UnixTime;

use crate::common::{HttpServer, Repo, manifest, node, now};

/// Files of a server by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// When every lie is told.
pub const NOW: UnixTime = UnixTime(1_800_000_000);

const DISK: u64 = 320 << 20;

pub struct World {
    pub repo: Repo,
    /// What the server had when the node was there last, and before that.
    pub served: Files,
    pub older: Files,
    /// The root in the initramfs.
    pub root: Vec<u8>,
    disk: BootDisk,
    _directory: tempfile::TempDir,
}

impl World {
    /// `base@1` is pinned for the default group, and runs confirmed in slot A; the node has followed two publications.
    pub fn new() -> Self {
        assert_eq!(NOW, now());
        let mut repo = Repo::new();
        let digest = repo.release(&manifest("base@1", 1));
        repo.pin("cluster", "base@1", digest);
        repo.assign_default("lab");
        let older = repo.publish();
        repo.assign_default("cluster");
        repo.floor("base", 1);
        let served = repo.publish();

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        File::create(&path).unwrap().set_len(DISK).unwrap();
        let layout = Layout::plan(DISK, &DiskSizes { slot_mib: 16, state_mib: 4 }).unwrap();
        let disk = BootDisk::new("file", FileDevice::open(&path).unwrap(), layout);
        disk.write_layout(&|| Ok(())).unwrap();
        for slot in Slot::ALL {
            disk.slot(slot).write_at(&[slot as u8 + 1; 4096], 0).unwrap();
        }
        let mut record = Record::default();
        let image = ImageRef::of(&manifest("base@1", 1), digest);
        record.state.begin_install(Slot::A, &image, None).unwrap();
        record.state.installed(Slot::A, 3).unwrap();
        record.state.begin_boot(Slot::A).unwrap();
        record.state.confirm(Slot::A).unwrap();
        disk.save_record(&record).unwrap();

        let disk = BootDisk::open_path(&path).unwrap();
        let root = repo.root.clone();
        let mut world = Self { repo, served, older, root, disk, _directory: directory };
        let served = world.served.clone();
        refresh(&mut world, served, NOW).unwrap();
        world
    }

    /// The record as it is on the disk.
    pub fn record(&self) -> Record {
        self.disk.load_record().record.unwrap()
    }

    pub fn save(&self, record: &Record) {
        self.disk.save_record(record).unwrap();
    }

    /// What would be booted or installed by the record on the disk.
    pub fn decide(&self, wish: Option<&Wish>) -> Decision {
        let wanted = wish.map(|wish| Wanted {
            image: ImageRef::of(&wish.manifest, wish.digest),
            attempts: wish.manifest.health.attempts,
        });
        decide(&self.record(), wanted.as_ref(), Arrival::Firmware)
    }

    /// The bytes of both slots.
    pub fn slots(&self) -> [Vec<u8>; 2] {
        Slot::ALL.map(|slot| {
            let slot = self.disk.slot(slot);
            slot.read_vec(0, usize::try_from(slot.len()).unwrap()).unwrap()
        })
    }

    /// The honest admin's next step: `base@2` is released and pinned for the default group, and all is put right.
    pub fn pin_next(&mut self) -> Files {
        self.pin_next_at(NOW)
    }

    pub fn pin_next_at(&mut self, now: UnixTime) -> Files {
        let digest = self.repo.release(&manifest("base@2", 2));
        self.repo.pin("cluster", "base@2", digest);
        self.repo.assign_default("cluster");
        self.repo.floor("base", 1);
        self.repo.publish_at(now)
    }
}

/// One boot's look at a server, as the agent does it: what was verified is saved whatever the outcome.
pub fn refresh(world: &mut World, files: Files, now: UnixTime) -> Result<Wish, WishError> {
    let server = HttpServer::start(files);
    let mut record = world.record();
    let mut client = Server::new(server.base(), Duration::from_millis(300));
    let refreshed = ask(&mut client, &world.root, &record, &node(), None, now);
    if refreshed.trusted.is_some() {
        record.trusted = refreshed.trusted;
        record.roots = refreshed.roots;
    }
    if let Ok(Wish { signed_time: Some(time), .. }) = &refreshed.wish {
        record.saw_time(*time);
    }
    world.save(&record);
    refreshed.wish
}

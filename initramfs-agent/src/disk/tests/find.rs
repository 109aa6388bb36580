//! Choosing a disk, on a made-up sysfs with files for disks.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use image_format::device::FileDevice;
use image_format::disk_layout::{self, Layout, PlanError};
use image_format::manifest::DiskSizes;
use image_format::pin::DiskConsent;

use super::super::find::{FindError, Survey};

const MIB: u64 = 1 << 20;
const SIZES: DiskSizes = DiskSizes { slot_mib: 16, state_mib: 8 };
/// 1 + 2 + 256 + 16 + 2 × 16 + 8 + 1
const NEEDED: u64 = 316 * MIB;

struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("sys/block")).unwrap();
        fs::create_dir_all(directory.path().join("dev")).unwrap();
        Self { directory }
    }

    fn path(&self, part: &str) -> std::path::PathBuf {
        self.directory.path().join(part)
    }

    fn attribute(&self, name: &str, file: &str, value: &str) {
        let path = self.path(&format!("sys/block/{name}/{file}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap().write_all_at(value.as_bytes(), 0).unwrap();
    }

    fn disk(&self, name: &str, len: u64) -> &Self {
        self.attribute(name, "size", &format!("{}\n", len / 512));
        self.attribute(name, "serial", &format!("S-{name}\n"));
        File::create(self.path("dev").join(name)).unwrap().set_len(len).unwrap();
        self
    }

    fn ours(&self, name: &str) -> &Self {
        self.disk(name, 400 * MIB);
        let device = FileDevice::open(&self.path("dev").join(name)).unwrap();
        disk_layout::write(&device, &Layout::plan(400 * MIB, &SIZES).unwrap()).unwrap();
        self
    }

    fn foreign(&self, name: &str) -> &Self {
        self.disk(name, 400 * MIB);
        let file = File::options().write(true).open(self.path("dev").join(name)).unwrap();
        file.write_all_at(b"XFSB", 0).unwrap();
        self
    }

    fn survey(&self) -> Survey {
        Survey::read(&self.path("sys"), &self.path("dev")).unwrap()
    }

    fn refusal(&self, consent: Option<&DiskConsent>) -> String {
        self.survey().new_disk(&SIZES, consent).unwrap_err().to_string()
    }
}

fn consent(disk: &str, wipe: bool) -> Option<DiskConsent> {
    Some(DiskConsent { disk: disk.into(), wipe })
}

#[test]
fn the_one_disk_of_ours_is_found_among_others() {
    let machine = Machine::new();
    machine.foreign("sda").ours("vda").disk("vdb", NEEDED);
    let (disk, layout) = machine.survey().ours().unwrap().unwrap();
    assert_eq!(disk.name, "vda");
    assert_eq!(layout, Layout::plan(400 * MIB, &SIZES).unwrap());
    assert_eq!(Machine::new().survey().ours(), Ok(None));
}

#[test]
fn two_disks_of_ours_are_refused_by_name() {
    let machine = Machine::new();
    machine.ours("vda").ours("vdb");
    assert_eq!(
        machine.survey().ours().unwrap_err().to_string(),
        "several Bascule disks: expected one, found vda (400 MiB, serial S-vda), vdb (400 MiB, serial S-vdb); \
         erase or remove all but one"
    );
}

#[test]
fn the_one_blank_disk_that_is_large_enough_is_taken() {
    let machine = Machine::new();
    machine.foreign("sda").disk("vda", MIB * 8).disk("vdb", NEEDED);
    let (disk, layout) = machine.survey().new_disk(&SIZES, None).unwrap();
    assert_eq!((disk.name.as_str(), layout.disk_len()), ("vdb", NEEDED));
}

#[test]
fn several_blank_disks_need_a_name() {
    let machine = Machine::new();
    machine.disk("vda", NEEDED).disk("vdb", NEEDED);
    assert_eq!(
        machine.refusal(None),
        "several blank disks: vda (316 MiB, serial S-vda), vdb (316 MiB, serial S-vdb); name one with the pin's disk \
         consent"
    );
    let named = |disk| machine.survey().new_disk(&SIZES, consent(disk, false).as_ref()).unwrap().0.name;
    assert_eq!(
        (named("vdb").as_str(), named("S-vda").as_str()),
        ("vdb", "vda"),
        "by name and by serial number"
    );
}

#[test]
fn foreign_data_are_kept_without_a_name_and_wipe() {
    let machine = Machine::new();
    machine.foreign("vda");
    assert_eq!(
        machine.refusal(None),
        "no blank disk: vda (400 MiB, serial S-vda): an XFS file system; to overwrite one, name it with the pin's disk \
         consent and wipe"
    );
    assert_eq!(
        machine.refusal(consent("vda", false).as_ref()),
        "the pin names the disk vda (400 MiB, serial S-vda) without wipe, and it holds an XFS file system"
    );
    assert_eq!(
        machine.refusal(consent("sda", true).as_ref()),
        "the pin names the disk \"sda\": found vda (400 MiB, serial S-vda): an XFS file system"
    );
    assert_eq!(machine.survey().new_disk(&SIZES, consent("vda", true).as_ref()).unwrap().0.name, "vda");
}

#[test]
fn a_serial_number_that_two_disks_have_is_no_name() {
    let machine = Machine::new();
    machine.disk("vda", NEEDED).disk("vdb", NEEDED);
    machine.attribute("vdb", "serial", "S-vda");
    let error = machine.survey().new_disk(&SIZES, consent("S-vda", true).as_ref()).unwrap_err();
    assert!(matches!(error, FindError::Ambiguous { .. }), "{error}");
}

#[test]
fn a_small_disk_says_how_small() {
    let machine = Machine::new();
    machine.disk("vda", NEEDED - 512);
    let disk = "vda (315 MiB, serial S-vda)".to_owned();
    let source = PlanError::TooSmall { slot_mib: 16, state_mib: 8, needed: NEEDED, found: NEEDED - 512 };
    assert_eq!(machine.survey().new_disk(&SIZES, None), Err(FindError::Plan { disk, source }));
}

#[test]
fn no_disk_says_what_was_seen() {
    let machine = Machine::new();
    assert_eq!(machine.refusal(None), "no disk: expected one, found no block device");
    for name in ["loop0", "sr0", "dm-0", "zram0", "ram1", "sdb", "sdc", "sdd", "vdx"] {
        machine.attribute(name, "size", "1000000");
    }
    machine.attribute("sdb", "removable", "1");
    machine.attribute("sdc", "ro", "1");
    machine.attribute("sdd", "size", "0");
    let text = machine.refusal(None);
    for part in ["loop0: not a disk", "sdb: removable", "sdc: read-only", "sdd: no medium", "vdx: open "] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn sectors_of_4096_bytes_are_refused() {
    let machine = Machine::new();
    machine.disk("vda", NEEDED).attribute("vda", "queue/logical_block_size", "4096");
    assert_eq!(
        machine.refusal(None),
        "disk vda (316 MiB, serial S-vda): sectors of 4096 bytes, expected 512"
    );
}

#[test]
fn a_missing_sysfs_is_an_error() {
    let error = Survey::read(Path::new("/nonexistent"), Path::new("/dev")).unwrap_err();
    assert!(error.to_string().starts_with("list /nonexistent/block: "), "{error}");
}

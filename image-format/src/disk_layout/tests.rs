//! The layout on a simulated disk: made, recognised, damaged, interrupted.

use super::bios_boot::{BOOT_CODE_LEN, is_current};
use super::*;
use crate::ObjectId;
use crate::device::sim::{Fault, SimDevice};
use crate::device::{SECTOR, zero};
use crate::record::{self, Record};
use crate::{proof, slot_layout};

const MIB: u64 = 1 << 20;
const DISK: u64 = 400 * MIB;
const SIZES: DiskSizes = DiskSizes { slot_mib: 16, state_mib: 8 };

#[test]
fn partitions_lie_behind_each_other_and_the_state_takes_the_rest() {
    let layout = Layout::plan(2048 * MIB + 5, &DiskSizes { slot_mib: 512, state_mib: 64 }).unwrap();
    let mut end = ALIGN;
    for partition in Partition::ALL {
        let extent = layout.extent(partition);
        assert_eq!(extent.offset, end, "{partition:?}");
        assert_eq!(extent.len % ALIGN, 0);
        end = extent.end();
    }
    assert_eq!(end, 2047 * MIB);
}

#[test]
fn the_smallest_disk_is_exact() {
    let sizes = DiskSizes { slot_mib: 16, state_mib: 8 };
    let needed = (1 + 2 + 256 + 16 + 2 * 16 + 8 + 1) * MIB;
    assert!(Layout::plan(needed, &sizes).is_ok());
    assert_eq!(
        Layout::plan(needed - 1, &sizes),
        Err(PlanError::TooSmall { slot_mib: 16, state_mib: 8, needed, found: needed - 1 })
    );
}

#[test]
fn absurd_sizes_are_refused() {
    for (slot_mib, state_mib) in [(0, 1), (u64::MAX, 1), (1 << 43, 1), (1, 1 << 44)] {
        let plan = Layout::plan(1 << 40, &DiskSizes { slot_mib, state_mib });
        assert_eq!(plan, Err(PlanError::Sizes { slot_mib, state_mib }));
    }
}

fn layout() -> Layout {
    Layout::plan(DISK, &SIZES).unwrap()
}

fn laid_out() -> SimDevice {
    let disk = SimDevice::new(DISK);
    write(&disk, &layout()).unwrap();
    disk
}

#[test]
fn what_is_written_is_recognised() {
    let disk = SimDevice::new(DISK);
    assert_eq!(probe(&disk).unwrap(), Found::Blank);
    write(&disk, &layout()).unwrap();
    assert_eq!(probe(&disk).unwrap(), Found::Bascule(layout()));
    let mbr = disk.read_vec(446, 66).unwrap();
    assert_eq!((mbr[4], &mbr[64..]), (0xee, &[0x55, 0xaa][..]), "protective MBR");
}

#[test]
fn one_copy_of_the_table_is_enough() {
    for (what, offset) in
        [("primary header", SECTOR), ("primary entries", 2 * SECTOR), ("backup header", DISK - SECTOR)]
    {
        let disk = laid_out();
        disk.write_at(&[0xa5; 100], offset).unwrap();
        assert_eq!(probe(&disk).unwrap(), Found::Bascule(layout()), "{what}");
    }
    let disk = laid_out();
    zero(&disk, SECTOR, SECTOR).unwrap();
    zero(&disk, DISK - SECTOR, SECTOR).unwrap();
    assert!(matches!(probe(&disk).unwrap(), Found::Foreign(_)));
}

#[test]
fn a_disk_that_grew_keeps_its_layout() {
    let small = laid_out();
    let large = SimDevice::new(2 * DISK);
    for (offset, sector) in small.content(0..DISK) {
        large.write_at(&sector, offset).unwrap();
    }
    let Found::Bascule(found) = probe(&large).unwrap() else { panic!("not recognised") };
    assert_eq!(found.extent(Partition::State), layout().extent(Partition::State));
}

#[test]
fn a_table_that_is_almost_ours_is_foreign() {
    let near_miss = |change: &dyn Fn(&mut gpt::partition::Partition)| {
        let disk = laid_out();
        let config = gpt::GptConfig::new().writable(true);
        let mut gpt = config.open_from_device(crate::device::Stream::new(&disk, Vec::new())).unwrap();
        let mut partitions = gpt.take_partitions();
        change(partitions.get_mut(&5).unwrap());
        gpt.update_partitions(partitions).unwrap();
        gpt.write().unwrap();
        probe(&disk).unwrap()
    };
    assert!(matches!(near_miss(&|_| {}), Found::Bascule(_)));
    for found in [
        near_miss(&|partition| partition.name = "bascule-c".into()),
        near_miss(&|partition| partition.part_type_guid = gpt::partition_types::LINUX_FS),
        near_miss(&|partition| partition.last_lba -= 2048),
        near_miss(&|partition| partition.first_lba += 1),
        near_miss(&|partition| partition.last_lba = u64::MAX),
    ] {
        let Found::Foreign(text) = found else { panic!("{found:?}") };
        assert!(
            text.starts_with("a GPT partition table with 6 partitions: 1 \"bascule-bios\" (2 MiB), "),
            "{text}"
        );
    }
}

#[test]
fn foreign_data_are_named() {
    for (offset, bytes, name) in [
        (0, &b"XFSB"[..], "an XFS file system"),
        (0x438, &[0x53, 0xef], "an ext2/3/4 file system"),
        (0, b"LUKS\xba\xbe", "a LUKS container"),
        (510, &[0x55, 0xaa], "an MBR boot sector without partitions"),
        (1000, b"x", "unknown data (first byte that is not zero at 1000)"),
        (DISK - 1, b"x", "unknown data (first byte that is not zero at 419430399)"),
        (512, b"EFI PART", "a damaged GPT partition table"),
    ] {
        let disk = SimDevice::new(DISK);
        disk.write_at(bytes, offset).unwrap();
        assert_eq!(probe(&disk).unwrap(), Found::Foreign(name.into()));
    }
    let disk = SimDevice::new(DISK);
    let mut entry = [0; 66];
    entry[4] = 0x83;
    entry[12..16].copy_from_slice(&(2048_u32 * 5).to_le_bytes());
    entry[64..].copy_from_slice(&[0x55, 0xaa]);
    disk.write_at(&entry, 446).unwrap();
    let expected = "an MBR partition table with 1 partitions: type 83 (5 MiB)";
    assert_eq!(probe(&disk).unwrap(), Found::Foreign(expected.into()));
    assert_eq!(probe(&SimDevice::new(MIB)).unwrap(), Found::Foreign("1048576 bytes in all".into()));
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8)
            .fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (!(crc & 1)).wrapping_add(1)))
    })
}

#[test]
fn a_hostile_table_neither_panics_nor_takes_memory() {
    for (field, value) in [(80, u32::MAX), (84, 256), (84, 0), (72, u32::MAX)] {
        for both in [false, true] {
            let disk = laid_out();
            for at in [SECTOR, DISK - SECTOR].into_iter().take(1 + usize::from(both)) {
                let mut header = disk.read_vec(at, 92).unwrap();
                header[field..field + 4].copy_from_slice(&value.to_le_bytes());
                header[16..20].fill(0);
                let crc = crc32(&header);
                header[16..20].copy_from_slice(&crc.to_le_bytes());
                disk.write_at(&header, at).unwrap();
            }
            match (both, probe(&disk).unwrap()) {
                (false, Found::Bascule(_)) | (true, Found::Foreign(_)) => {}
                (_, found) => panic!("field {field}, both {both}: {found:?}"),
            }
        }
    }
}

/// A disk with foreign data wherever the layout could mistake them for its own.
fn used_disk() -> SimDevice {
    let disk = laid_out();
    record::save(&layout().open(&disk, Partition::Record).unwrap(), &Record::default()).unwrap();
    for slot in Slot::ALL {
        let window = layout().open(&disk, Partition::Slot(slot)).unwrap();
        let proof = proof::Proof { manifest: b"m".to_vec(), index: b"i".to_vec(), evidence: b"e".to_vec() };
        proof.write(&window, slot_layout::proof_offset(window.len()).unwrap(), &|| Ok(())).unwrap();
    }
    let state = layout().extent(Partition::State);
    disk.write_at(&[0x53, 0xef], state.offset + 0x438).unwrap();
    disk.write_at(b"XFSB", 0).unwrap();
    zero(&disk, SECTOR, 33 * SECTOR).unwrap();
    zero(&disk, DISK - 33 * SECTOR, 33 * SECTOR).unwrap();
    disk.flush().unwrap();
    assert_eq!(probe(&disk).unwrap(), Found::Foreign("an XFS file system".into()));
    disk
}

fn is_fresh(disk: &SimDevice) -> bool {
    let layout = layout();
    let no_record = record::load(&layout.open(disk, Partition::Record).unwrap()).record.is_none();
    let no_proof = Slot::ALL.into_iter().all(|slot| {
        let window = layout.open(disk, Partition::Slot(slot)).unwrap();
        proof::Proof::read(&window, slot_layout::proof_offset(window.len()).unwrap()).is_err()
    });
    let state = layout.extent(Partition::State);
    no_record && no_proof && disk.content(state.offset..state.offset + MIB).is_empty()
}

#[test]
fn a_cut_anywhere_leaves_the_old_disk_or_one_that_can_be_laid_out() {
    let before = used_disk();
    before.set_fault(Fault::None);
    let whole = before.clone();
    write(&whole, &layout()).unwrap();
    for cut in 0..whole.operations() {
        for seed in 0..4_u64 {
            let disk = before.clone();
            disk.set_fault(Fault::PowerCut { at: cut });
            assert!(write(&disk, &layout()).is_err());
            let mut losses = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed + 1);
            let after = disk.power_cut(|_| {
                losses = losses.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                losses >> 63 == 1
            });
            match probe(&after).unwrap() {
                Found::Foreign(_) => assert!(cut <= 1, "cut {cut}: foreign after the marker was durable"),
                Found::Blank => {}
                Found::Bascule(found) => {
                    assert_eq!(found, layout());
                    assert!(is_fresh(&after), "cut {cut}");
                }
            }
            write(&after, &layout()).unwrap();
            assert_eq!(probe(&after).unwrap(), Found::Bascule(layout()));
            assert!(is_fresh(&after));
        }
    }
}

/// Boot code and a core image of `sectors` sectors behind its first, with the fields that `grub-mkimage` sets.
fn bios_object(fill: u8, sectors: u16) -> Vec<u8> {
    let mut object = vec![fill; BOOT_CODE_LEN + SECTOR as usize * (1 + usize::from(sectors))];
    object[0] = 0xeb;
    let list = BOOT_CODE_LEN + 0x1f4;
    object[list + 8..list + 10].copy_from_slice(&sectors.to_le_bytes());
    object[list + 10..list + 12].copy_from_slice(&0x820_u16.to_le_bytes());
    object
}

/// What a BIOS would start: the core image, if all sector numbers fit together.
fn started(disk: &SimDevice) -> Option<u8> {
    let u64_at = |offset: u64| u64::from_le_bytes(disk.read_vec(offset, 8).unwrap().try_into().unwrap());
    let lba = u64_at(0x5c);
    let next = u64_at(lba.checked_mul(SECTOR)? + 0x1f4);
    let core = disk.read_vec(next * SECTOR, 3 * SECTOR as usize).unwrap();
    let whole = core.iter().all(|byte| *byte == core[0]) && next == lba + 1;
    whole.then_some(core[0])
}

#[test]
fn the_boot_loader_switches_as_a_whole() {
    let disk = laid_out();
    let bios = layout().extent(Partition::Bios);
    write_bios_boot(&disk, &layout(), &bios_object(1, 3)).unwrap();
    let code = disk.read_vec(0, 512).unwrap();
    assert_eq!(code[0x5c..0x64], (bios.offset / SECTOR).to_le_bytes());
    assert_eq!(code[0x66..0x68], [0x90, 0x90]);
    assert_eq!(code[510..], [0x55, 0xaa], "the table in the same sector is kept");
    assert_eq!(started(&disk), Some(1));
    assert!(is_current(&disk, &layout(), ObjectId::of(&bios_object(1, 3))).unwrap());
    disk.set_fault(Fault::None);
    write_bios_boot(&disk, &layout(), &bios_object(1, 3)).unwrap();
    assert_eq!(disk.operations(), 0, "not written again");
    for cut in 0..6 {
        for survivors in [0, 1, 2] {
            let next = disk.clone();
            next.set_fault(Fault::PowerCut { at: cut });
            let written = write_bios_boot(&next, &layout(), &bios_object(2, 3));
            assert!(written.is_err());
            let mut count = 0;
            let after = next.power_cut(|_| {
                count += 1;
                survivors == 2 || survivors == count % 2
            });
            assert!(matches!(started(&after), Some(1 | 2)), "cut {cut}");
            assert!(matches!(probe(&after).unwrap(), Found::Bascule(_)));
            write_bios_boot(&after, &layout(), &bios_object(2, 3)).unwrap();
            assert_eq!(started(&after), Some(2));
        }
    }
}

#[test]
fn a_boot_loader_of_another_kind_is_refused() {
    let disk = laid_out();
    disk.set_fault(Fault::None);
    let good = bios_object(1, 3);
    let changed = |at: usize, byte: u8| {
        let mut object = good.clone();
        object[at] = byte;
        object
    };
    let list = BOOT_CODE_LEN + 0x1f4;
    for (object, text) in [
        (good[..100].to_vec(), "length: expected more than 440 bytes, found 100"),
        (good[..BOOT_CODE_LEN + 512].to_vec(), "core image: expected 513 to 1047552 bytes, found 512"),
        (bios_object(1, 2046), "core image: expected 513 to 1047552 bytes, found 1048064"),
        (changed(0, 1), "boot code: expected a jump (eb), found 01"),
        (changed(list + 8, 4), "block list length: expected 3, found 4"),
        (changed(list + 11, 9), "block list segment: expected 0x820, found 0x920"),
    ] {
        let error = write_bios_boot(&disk, &layout(), &object).unwrap_err();
        assert_eq!(error.to_string(), format!("BIOS boot object: {text}"));
    }
    assert_eq!(disk.operations(), 0);
}

//! Devices that fail, servers that lie, disks that do not keep what they were given. Each has its own error, and the preferred
//! slot is as before.

use std::error::Error;
use std::io;

use image_format::device::Device;
use image_format::device::sim::Fault;
use image_format::state::SlotState;
use image_format::{Slot, codec};

use super::super::install::{InstallError, Place};
use super::super::update::UpdateError;
use super::world::{
    Image, Server, SimDisk, assert_holds, confirmed_disk, decision, disk_from, layout, record, slot_a,
    two_images, update, update_with,
};
use image_format::disk_layout::Partition;
use image_format::state::Decision;

fn setup() -> (Server, Image, Image, SimDisk) {
    let mut server = Server::default();
    let (first, second) = two_images(&mut server);
    let disk = confirmed_disk(&first, &mut server);
    (server, first, second, disk)
}

fn install_error(result: Result<impl std::fmt::Debug, UpdateError>) -> InstallError {
    match result.unwrap_err() {
        UpdateError::Install { slot: Slot::B, source } => source,
        other => panic!("{other:?}"),
    }
}

/// The number of an entry of `image` that the first image lacks.
const FETCHED: usize = 3;

fn assert_unbootable(disk: &SimDisk, first: &Image, second: &Image) {
    let record = record(disk);
    assert!(matches!(record.state.slot(Slot::B), SlotState::Writing { .. }));
    assert!(disk.slot_image(Slot::B).is_err(), "a proof without an image");
    assert_eq!(decision(disk, None), decision(disk, Some(first)).without_note());
    assert!(matches!(decision(disk, Some(second)), Decision::Install { slot: Slot::B, .. }));
}

trait WithoutNote {
    fn without_note(self) -> Self;
}

impl WithoutNote for Decision {
    /// Booting what is preferred for want of a wish, or because it is wished, is the same act.
    fn without_note(self) -> Self {
        match self {
            Self::Boot { slot, trial, .. } => {
                Self::Boot { slot, trial, note: Some(image_format::state::Note::NothingWanted) }
            }
            other => other,
        }
    }
}

#[test]
fn wrong_bytes_from_the_server_are_named() {
    let (server, first, second, disk) = setup();
    let before = slot_a(&disk);
    let entry = second.index.entries()[FETCHED];
    let kernel = second.manifest.initramfs.id;
    type Damage<'a> = &'a dyn Fn(&mut Server);
    let cases: [(Damage<'_>, &str); 6] = [
        (
            &|server| drop(server.objects.insert(entry.object, b"x".to_vec())),
            "chunk 3: stored bytes: expected ",
        ),
        (&|server| drop(server.objects.remove(&entry.object)), "fetch of 6 chunks failed"),
        (&|server| server.backwards = true, "fetch of chunks: expected entry 3, found 41"),
        (&|server| server.forgets_last = true, "fetch of chunks: expected entry 41, found the end"),
        (&|server| drop(server.objects.insert(kernel, vec![0; 5000])), "initramfs: stored bytes: expected "),
        (
            &|server| drop(server.objects.insert(kernel, vec![0; 5001])),
            "initramfs: stored bytes: expected 5000 bytes, found more",
        ),
    ];
    for (damage, text) in cases {
        let disk = disk_from(disk.device().clone());
        let mut lying = Server { objects: server.objects.clone(), ..Server::default() };
        damage(&mut lying);
        let error = install_error(update(&disk, Slot::B, &second, &mut lying));
        // The number of the last entry is told by the image.
        let text = text.replace("41", &last_missing(&first, &second).to_string());
        assert!(error.to_string().starts_with(&text), "{error}: expected {text}");
        assert_unbootable(&disk, &first, &second);
        assert!(slot_a(&disk) == before);
        let mut honest = Server { objects: server.objects.clone(), ..Server::default() };
        update(&disk, Slot::B, &second, &mut honest).unwrap();
        assert_holds(&disk, Slot::B, &second, &server);
    }
}

fn last_missing(first: &Image, second: &Image) -> usize {
    let has = |chunk| first.index.entries().iter().any(|entry| entry.chunk == chunk);
    second.index.entries().iter().rposition(|entry| !has(entry.chunk)).unwrap()
}

#[test]
fn an_index_that_was_signed_wrongly_is_refused() {
    let (mut server, first, mut second, disk) = setup();
    // Stored bytes that are what the index names, but decode to another chunk.
    let mut entries = second.index.entries().to_vec();
    let stored = codec::encode(&vec![7; entries[FETCHED].plain_len as usize]);
    entries[FETCHED].object = image_format::ObjectId::of(&stored);
    entries[FETCHED].stored_len = stored.len() as u32;
    server.objects.insert(entries[FETCHED].object, stored);
    let sign = |second: &mut Image, server: &mut Server| {
        second.index_bytes = second.index.encode();
        second.manifest.root.index.id = image_format::ObjectId::of(&second.index_bytes);
        second.bytes = second.manifest.to_bytes().unwrap();
        server.objects.insert(second.manifest.root.index.id, second.index_bytes.clone());
    };
    second.index = image_format::index::Index::new(entries.clone()).unwrap();
    sign(&mut second, &mut server);
    let error = install_error(update(&disk, Slot::B, &second, &mut server));
    assert!(matches!(error, InstallError::Plain { entry: FETCHED, .. }), "{error}");
    assert_unbootable(&disk, &first, &second);
    // Everything agrees except the root hash.
    entries[FETCHED] = first.index.entries()[FETCHED];
    second.index = image_format::index::Index::new(entries).unwrap();
    second.manifest.root.size = second.index.plain_size();
    sign(&mut second, &mut server);
    let error = install_error(update(&disk, Slot::B, &second, &mut server));
    assert!(
        error.to_string().starts_with("read back of the root image at 0: expected verity root hash "),
        "{error}"
    );
    assert_unbootable(&disk, &first, &second);
    // An index that is not the manifest's.
    second.index_bytes = first.index_bytes.clone();
    let error = install_error(update(&disk, Slot::B, &second, &mut server));
    assert!(matches!(error, InstallError::Inconsistent { what: "index object", .. }), "{error}");
}

#[test]
fn an_image_that_does_not_fit_is_refused_before_anything_is_written() {
    let (mut server, _, mut second, disk) = setup();
    second.manifest.root.size = 24 << 20;
    disk.device().set_fault(Fault::None);
    let error = update(&disk, Slot::B, &second, &mut server).unwrap_err();
    assert_eq!(error.to_string(), "update refused: image does not fit the slot");
    assert!(error.source().unwrap().to_string().starts_with("slot too small: the image needs "));
    assert_eq!(disk.device().operations(), 0);
}

#[test]
fn the_preferred_slot_is_refused() {
    let (mut server, _, second, disk) = setup();
    disk.device().set_fault(Fault::None);
    let error = update(&disk, Slot::A, &second, &mut server).unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "slot A: install refused: it is the slot confirmed last");
    assert_eq!(disk.device().operations(), 0);
}

#[test]
fn a_disk_that_does_not_keep_what_it_was_given_is_found_out() {
    let (mut server, first, second, disk) = setup();
    let b = layout().extent(Partition::Slot(Slot::B)).offset;
    let of = image_format::slot_layout::SlotLayout::of(&second.manifest, layout().slot_len()).unwrap();
    let places = [
        (Place::Root, 4096 * 7, 1),
        (Place::Tree, of.verity.offset + 50, 2),
        (Place::Kernel, of.kernel.offset + 8999, 2),
        (Place::Initramfs, of.initramfs.offset, 1),
        (Place::Initramfs, of.initramfs.end(), 1),
    ];
    for (place, offset, when) in places {
        let disk = disk_from(disk.device().clone());
        let calls = std::cell::Cell::new(0);
        let rot = || {
            calls.set(calls.get() + 1);
            if calls.get() == when {
                let byte = disk.device().read_vec(b + offset, 1)?[0];
                disk.device().write_at(&[byte ^ 1], b + offset)?;
            }
            Ok(())
        };
        let error = install_error(update_with(&disk, Slot::B, &second, &mut server, &rot));
        match error {
            InstallError::ReadBack { place: found, offset: at, .. } => {
                assert_eq!(found, place);
                assert!(at <= offset && offset < at + (1 << 20), "{at} {offset}");
            }
            other => panic!("{other:?}"),
        }
        assert_unbootable(&disk, &first, &second);
    }
}

#[test]
fn everything_is_flushed_before_it_is_read_back() {
    let (mut server, _, second, disk) = setup();
    let calls = std::cell::Cell::new(0);
    let cold = || {
        calls.set(calls.get() + 1);
        assert_eq!(disk.device().unflushed(), 0, "reading back would read the cache, time {}", calls.get());
        Ok(())
    };
    update_with(&disk, Slot::B, &second, &mut server, &cold).unwrap();
    assert_eq!(calls.get(), 3, "for the root, the tree with kernel and initramfs, the proof area");
}

#[test]
fn a_proof_area_that_rots_is_found_out() {
    let (mut server, first, second, disk) = setup();
    let proof = layout().extent(Partition::Slot(Slot::B)).end() - image_format::proof::PROOF_LEN;
    let calls = std::cell::Cell::new(0);
    let rot = || {
        calls.set(calls.get() + 1);
        if calls.get() == 3 { disk.device().write_at(b"?", proof + 100) } else { Ok(()) }
    };
    let error = install_error(update_with(&disk, Slot::B, &second, &mut server, &rot));
    assert!(matches!(error, InstallError::Proof(_)), "{error}");
    assert_unbootable(&disk, &first, &second);
}

#[test]
fn an_error_at_any_operation_is_told_and_the_next_run_completes() {
    let (mut server, first, second, disk) = setup();
    let before = slot_a(&disk);
    let whole = disk_from(disk.device().clone());
    whole.device().set_fault(Fault::None);
    update(&whole, Slot::B, &second, &mut server).unwrap();
    let operations = whole.device().operations();
    assert!(operations > 30, "{operations}");
    for kind in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
        for at in 0..operations {
            let disk = disk_from(disk.device().clone());
            disk.device().set_fault(Fault::Error { at, kind });
            let error = update(&disk, Slot::B, &second, &mut server).unwrap_err();
            assert!(
                chain(&error).contains(&format!("simulated {kind} at operation {at}")),
                "{}",
                chain(&error)
            );
            disk.device().set_fault(Fault::None);
            assert!(slot_a(&disk) == before, "operation {at}");
            assert!(decision(&disk, None) == decision(&disk, Some(&first)).without_note());
            if !matches!(record(&disk).state.slot(Slot::B), SlotState::Trial { .. }) {
                update(&disk, Slot::B, &second, &mut server).unwrap();
            }
            assert_holds(&disk, Slot::B, &second, &server);
        }
    }
}

fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

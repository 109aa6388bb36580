//! Where the bytes come from.

use std::collections::HashSet;

use image_format::Slot;
use image_format::device::Device;
use image_format::disk_layout::Partition;
use image_format::grub_env::GrubEnv;
use image_format::index::Delta;
use image_format::state::{Decision, SlotState};

use super::world::{
    Server, assert_holds, confirm, confirmed_disk, decision, image, new_disk, record, two_images, update,
};

#[test]
fn the_first_installation_fetches_every_object_once() {
    let mut server = Server::default();
    let (_, second) = two_images(&mut server);
    let disk = new_disk();
    let stats = update(&disk, Slot::A, &second, &mut server).unwrap();
    assert_holds(&disk, Slot::A, &second, &server);
    let all = second.index.missing_from(&HashSet::new());
    assert_eq!((stats.fetched_chunks, stats.fetched_chunk_bytes), (all.chunks, all.stored_bytes));
    assert_eq!(stats.fetched_object_bytes, 9000 + 5000);
    let unique: HashSet<_> = server.given.iter().collect();
    assert_eq!(unique.len(), server.given.len(), "an object was fetched twice");
    assert_eq!(stats.zero_bytes, 3 * 4096);
    assert_eq!(stats.zero_bytes + stats.server_bytes, second.root.len() as u64);
    let three = SlotState::Trial { image: second.reference(), attempts: 3, left: 3 };
    assert_eq!(record(&disk).state.slot(Slot::A), &three);
}

#[test]
fn an_update_fetches_exactly_the_difference() {
    let mut server = Server::default();
    let (first, second) = two_images(&mut server);
    let disk = confirmed_disk(&first, &mut server);
    server.given.clear();
    let stats = update(&disk, Slot::B, &second, &mut server).unwrap();
    assert_holds(&disk, Slot::B, &second, &server);
    assert_holds(&disk, Slot::A, &first, &server);
    let have = first.index.entries().iter().map(|entry| entry.chunk).collect();
    let Delta { chunks, stored_bytes, .. } = second.index.missing_from(&have);
    assert_eq!((stats.fetched_chunks, stats.fetched_chunk_bytes), (chunks, stored_bytes));
    assert_eq!(chunks, 6, "seven places differ, two of them by the same chunk");
    assert_eq!(stats.fetched_object_bytes, 5000, "the kernel is the same");
    assert_eq!(server.given.len(), 7);
}

#[test]
fn going_back_and_forth_fetches_only_what_is_on_neither_side() {
    let mut server = Server::default();
    let (first, second) = two_images(&mut server);
    let disk = confirmed_disk(&first, &mut server);
    update(&disk, Slot::B, &second, &mut server).unwrap();
    confirm(&disk, Slot::B);
    assert_eq!(decision(&disk, Some(&first)), Decision::FlipTo { slot: Slot::A });
    // A third image replaces A, then the first one comes back: in place, or from B.
    let third = image(&mut server, "ha@3", 3, &(1..=40).rev().collect::<Vec<_>>());
    update(&disk, Slot::A, &third, &mut server).unwrap();
    assert_holds(&disk, Slot::A, &third, &server);
    server.given.clear();
    let stats = update(&disk, Slot::A, &first, &mut server).unwrap();
    assert_holds(&disk, Slot::A, &first, &server);
    assert_eq!(stats.fetched_object_bytes, 5000, "{stats:?}");
    let on_disk = second.index.entries().iter().map(|entry| entry.chunk).collect();
    assert!(stats.fetched_chunks <= first.index.missing_from(&on_disk).chunks);
    assert!(stats.in_place_bytes + stats.seed_bytes > 0);
}

#[test]
fn the_same_image_again_fetches_nothing() {
    let mut server = Server::default();
    let (first, _) = two_images(&mut server);
    let disk = new_disk();
    update(&disk, Slot::A, &first, &mut server).unwrap();
    server.given.clear();
    let stats = update(&disk, Slot::A, &first, &mut server).unwrap();
    assert_eq!((server.given.len(), stats.fetched_bytes()), (0, 0));
    assert_holds(&disk, Slot::A, &first, &server);
}

#[test]
fn a_corrupt_seed_costs_a_fetch_and_nothing_else() {
    let mut server = Server::default();
    let (first, second) = two_images(&mut server);
    let disk = confirmed_disk(&first, &mut server);
    let slot = disk.slot(Slot::A);
    slot.write_at(b"rotten", 100).unwrap();
    slot.write_at(b"rotten", disk.slot_image(Slot::A).unwrap().layout.kernel.offset + 5).unwrap();
    disk.device().break_sector(
        image_format::disk_layout::Layout::extent(disk.layout(), Partition::Slot(Slot::A)).offset + 4096 * 20,
    );
    let stats = update(&disk, Slot::B, &second, &mut server).unwrap();
    assert_eq!(stats.seed_mismatches, 2, "one chunk is wrong, one cannot be read");
    assert_eq!(stats.fetched_chunks, 8);
    assert_eq!(stats.fetched_object_bytes, 9000 + 5000);
    assert_holds(&disk, Slot::B, &second, &server);
}

#[test]
fn an_interrupted_installation_is_taken_up() {
    let mut server = Server::default();
    let (first, _) = two_images(&mut server);
    let disk = new_disk();
    server.dies_after = Some(20);
    let error = update(&disk, Slot::A, &first, &mut server).unwrap_err();
    assert_eq!(error.to_string(), "update: slot A");
    assert!(matches!(record(&disk).state.slot(Slot::A), SlotState::Writing { .. }));
    assert_eq!(decision(&disk, Some(&first)), Decision::Install { slot: Slot::A, image: first.reference() });
    server.dies_after = None;
    let stats = update(&disk, Slot::A, &first, &mut server).unwrap();
    assert_holds(&disk, Slot::A, &first, &server);
    let all = first.index.missing_from(&HashSet::new()).chunks;
    assert_eq!(stats.fetched_chunks, all - 20);
    let unique: HashSet<_> = server.given.iter().collect();
    assert_eq!(unique.len(), server.given.len(), "something was fetched again");
}

#[test]
fn the_boot_loader_follows() {
    let mut server = Server::default();
    let (first, second) = two_images(&mut server);
    let disk = new_disk();
    let env = |disk: &super::world::SimDisk| GrubEnv::load(&disk.partition(Partition::Bios)).unwrap();
    update(&disk, Slot::A, &first, &mut server).unwrap();
    assert_eq!(env(&disk).boot, Some(Slot::A), "the only one");
    confirm(&disk, Slot::A);
    update(&disk, Slot::B, &second, &mut server).unwrap();
    assert_eq!(env(&disk).boot, Some(Slot::A), "B has yet to prove itself");
    let layout = disk.slot_image(Slot::B).unwrap().layout;
    let kernel = format!("{}+{}", layout.kernel.offset / 512, 18);
    assert_eq!(env(&disk).b.unwrap().kernel, kernel);
    confirm(&disk, Slot::B);
    assert_eq!(env(&disk).boot, Some(Slot::B));
    server.dies_after = Some(server.given.len());
    let third = image(&mut server, "ha@3", 3, &[77, 78]);
    update(&disk, Slot::A, &third, &mut server).unwrap_err();
    assert_eq!((env(&disk).boot, env(&disk).a), (Some(Slot::B), None), "A is no longer whole");
}

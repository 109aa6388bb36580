//! Binary formats on the wire and on the disk.
//!
//! Where a digest guards a format, the first byte says whether the input is taken as it is or gets a valid digest: whoever can
//! write a disk can compute one.

use image_format::chunker::{FileMap, Piece, image_chunks};
use image_format::device::Device as _;
use image_format::device::sim::SimDevice;
use image_format::disk_layout::{self, Found};
use image_format::evidence::Evidence;
use image_format::grub_env::GrubEnv;
use image_format::index::{CHUNK_MAX, Index};
use image_format::proof::{PROOF_LEN, Proof};
use image_format::{BLOCK, Slot, codec, record};

/// Largest artifact that is cut by a map.
const ARTIFACT_MAX: u64 = 256 << 10;

/// The index of chunks: one spelling.
pub fn index(bytes: &[u8]) {
    let Ok(index) = Index::parse(bytes) else { return };
    assert_eq!(index.encode(), bytes);
    let mut end = 0;
    for (offset, entry) in index.iter_at() {
        assert_eq!(offset, end);
        assert!(entry.plain_len > 0);
        end += u64::from(entry.plain_len);
    }
    assert_eq!(end, index.plain_size());
    assert_eq!(Index::new(index.entries().to_vec()).unwrap(), index);
}

/// A stored chunk: the first four bytes are the plain length that the index promises.
pub fn chunk(bytes: &[u8]) {
    let Some((length, stored)) = bytes.split_first_chunk() else { return };
    // Sometimes beyond the limit.
    let plain_len = u32::from_le_bytes(*length) as usize % (CHUNK_MAX as usize + CHUNK_MAX as usize / 8);
    let mut plain = Vec::new();
    match codec::decode(stored, plain_len, &mut plain) {
        Ok(()) => assert_eq!(plain.len(), plain_len),
        Err(_) => assert!(plain.is_empty()),
    }
    assert!(plain.capacity() <= 2 * CHUNK_MAX as usize);
    if (1..=CHUNK_MAX as usize).contains(&stored.len()) {
        let encoded = codec::encode(stored);
        assert!(encoded.len() <= stored.len());
        codec::decode(&encoded, stored.len(), &mut plain).expect("what was encoded can be decoded");
        assert_eq!(plain, stored);
    }
}

/// Where files begin: one spelling, and whatever it says, chunks cover what is cut by it.
pub fn file_map(bytes: &[u8]) {
    let Ok(map) = FileMap::parse(bytes) else { return };
    assert_eq!(map.encode(), bytes);
    assert!(map.starts().iter().all(|start| *start < map.blocks()));
    let len = u64::from(map.blocks()) * BLOCK;
    if len > ARTIFACT_MAX {
        return;
    }
    // Zeros now and then.
    let data: Vec<u8> = (0..len).map(|at| (at / BLOCK % 5 * (at / 7)) as u8).collect();
    let mut end = 0;
    for piece in image_chunks(data.as_slice(), &map) {
        let (is_right, len) = match piece.unwrap() {
            Piece::Data(found) => (data[end..].starts_with(&found), found.len()),
            Piece::Zero(len) => (data[end..][..len as usize].iter().all(|byte| *byte == 0), len as usize),
        };
        assert!(is_right && len > 0);
        end += len;
    }
    assert_eq!(end, data.len());
}

/// The boot record: the second byte says which copy, the rest is the copy, or its payload.
pub fn record(bytes: &[u8]) {
    let Some((&[mode, copy], rest)) = bytes.split_first_chunk() else { return };
    let content = if mode.is_multiple_of(2) { rest.to_vec() } else { with_digest(rest) };
    let device = SimDevice::new(2 * record::COPY_LEN);
    let offset = if copy.is_multiple_of(2) { 0 } else { record::COPY_LEN };
    device.write_at(&content, offset).unwrap();
    let loaded = record::load(&device);
    assert!(loaded.damage.len() <= 2);
    let Some(found) = loaded.record else { return };
    // What was read can be kept, and reads back to the same; a copy that has become old is no danger.
    if record::save(&device, &found).is_ok() {
        assert_eq!(record::load(&device).record.as_ref(), Some(&found));
        record::save(&device, &found).unwrap();
        assert_eq!(record::load(&device).record, Some(found));
    }
}

fn with_digest(payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"BSCLREC1".to_vec();
    bytes.extend_from_slice(&7_u64.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    let digest = blake3::Hasher::new().update(&bytes).update(payload).finalize();
    bytes.extend_from_slice(digest.as_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The proof area of a slot.
pub fn proof(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let slot = SimDevice::new(PROOF_LEN + 4096);
    let content = if mode.is_multiple_of(2) {
        rest.to_vec()
    } else {
        let (manifest, rest) = rest.split_at(rest.len() / 3);
        let (index, evidence) = rest.split_at(rest.len() / 2);
        let [manifest, index, evidence] = [manifest, index, evidence].map(<[u8]>::to_vec);
        Proof { manifest, index, evidence }.encode().unwrap()
    };
    slot.write_at(&content, 4096).unwrap();
    let Ok(found) = Proof::read(&slot, 4096) else {
        assert!(mode.is_multiple_of(2), "what was encoded can be read");
        return;
    };
    // All parts are parsed by the agent.
    drop(image_format::Manifest::parse(&found.manifest));
    drop(Index::parse(&found.index));
    drop(Evidence::parse(&found.evidence));
    found.write(&slot, 0, &|| Ok(())).unwrap();
    assert_eq!(Proof::read(&slot, 0).unwrap(), found);
}

/// GRUB's environment block.
pub fn grub_env(bytes: &[u8]) {
    let Ok(env) = GrubEnv::parse(bytes) else { return };
    if let Ok(sector) = env.encode() {
        assert_eq!(GrubEnv::parse(&sector).expect("what was encoded can be read"), env);
    }
    for slot in Slot::ALL {
        let mut other = env.clone();
        other.set_slot(slot, None);
        assert_eq!(other.slot(slot), None);
        assert_eq!(other.slot(!slot), env.slot(!slot));
    }
}

/// A disk with anything at its start and its end: partition tables of others.
pub fn disk(bytes: &[u8]) {
    const LEN: u64 = 16 << 20;
    let disk = SimDevice::new(LEN);
    let (start, end) = bytes.split_at(bytes.len() / 2);
    disk.write_at(start, 0).unwrap();
    disk.write_at(end, LEN - end.len() as u64).unwrap();
    match disk_layout::probe(&disk).unwrap() {
        Found::Foreign(what) => assert!(what.len() < 16 << 10, "{}", what.len()),
        Found::Blank => {}
        Found::Bascule(layout) => panic!("no layout fits {LEN} bytes: {layout:?}"),
    }
}

/// Valid inputs.
pub mod seeds {
    use image_format::grub_env::{GrubEnv, GrubSlot};
    use image_format::index::{Entry, Index};
    use image_format::record::{self as boot_record, COPY_LEN, Record};
    use image_format::{ChunkId, ObjectId, Slot, codec};

    use crate::targets::documents::seeds::small;

    use image_format::chunker::FileMap;
    use image_format::device::Device as _;
    use image_format::device::sim::SimDevice;
    use image_format::disk_layout::{self, Layout};

    fn entry(text: &str, plain_len: u32) -> Entry {
        Entry {
            chunk: ChunkId::of(text.as_bytes()),
            object: ObjectId::of(text.as_bytes()),
            plain_len,
            stored_len: 900,
        }
    }

    /// One entry; several with a run of zeros and a chunk twice.
    pub fn index() -> Vec<Vec<u8>> {
        let many = vec![entry("a", 4096), Entry::zero(8192), entry("b", 65536), entry("a", 4096)];
        [vec![entry("a", 4096)], many].map(|entries| Index::new(entries).unwrap().encode()).into()
    }

    /// One file; several.
    pub fn file_map() -> Vec<Vec<u8>> {
        let map = |starts: &[u32], blocks| FileMap::new(starts.to_vec(), blocks).unwrap().encode();
        vec![map(&[0], 1), map(&[0, 3, 4, 20, 21], 60)]
    }

    /// A frame, and bytes that do not compress.
    pub fn chunk() -> Vec<Vec<u8>> {
        let text = "chunk ".repeat(900).into_bytes();
        let mut noise = vec![0; 200];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        let zeros = vec![0; 4096];
        [text, noise, zeros]
            .map(|plain| [&(plain.len() as u32).to_le_bytes()[..], &codec::encode(&plain)].concat())
            .into()
    }

    /// A fresh record and one with a past, as payload and as a copy.
    pub fn record() -> Vec<Vec<u8>> {
        let fresh = Record::default();
        let mut used = Record::default();
        used.node = Some("52-54-00-00-00-01".parse().unwrap());
        used.raise_floor(&"ha".parse().unwrap(), 3);
        let mut seeds = Vec::new();
        for found in [fresh, used] {
            seeds.push([&[1, 0][..], &signing::to_json(&found).unwrap()].concat());
            let device = SimDevice::new(2 * COPY_LEN);
            boot_record::save(&device, &found).unwrap();
            seeds.push([&[0, 1][..], &device.read_vec(0, 512).unwrap()].concat());
        }
        seeds
    }

    /// A manifest and an index.
    pub fn proof() -> Vec<Vec<u8>> {
        let manifest = small("ha@1").to_bytes().unwrap();
        let index = index().remove(0);
        let area = super::Proof { manifest: manifest.clone(), index: index.clone(), evidence: vec![b'e'; 9] }
            .encode()
            .unwrap();
        vec![[&[0][..], &area].concat(), [&[1][..], &manifest, &index].concat()]
    }

    /// None, one and two entries.
    pub fn grub_env() -> Vec<Vec<u8>> {
        let slot =
            GrubSlot { kernel: "2048+100".into(), initramfs: "2148+50".into(), cmdline: "a b=c\\".into() };
        let mut env = GrubEnv::default();
        let mut seeds = vec![env.encode().unwrap().to_vec()];
        for which in Slot::ALL {
            env.boot = Some(which);
            env.set_slot(which, Some(slot.clone()));
            seeds.push(env.encode().unwrap().to_vec());
        }
        seeds
    }

    /// The first sectors of our own table on another disk, and a boot sector with four partitions.
    pub fn disk() -> Vec<Vec<u8>> {
        let disk = SimDevice::new(2 << 30);
        let sizes = image_format::manifest::DiskSizes { slot_mib: 64, state_mib: 16 };
        disk_layout::write(&disk, &Layout::plan(2 << 30, &sizes).unwrap()).unwrap();
        let ours = disk.read_vec(0, 2048).unwrap();
        let mut mbr = vec![0; 512];
        for number in 0..4 {
            mbr[446 + 16 * number + 4] = 0x83;
            mbr[446 + 16 * number + 8] = 1 + number as u8;
            mbr[446 + 16 * number + 12] = 1;
        }
        mbr[510..].copy_from_slice(&[0x55, 0xaa]);
        vec![[ours, vec![0; 2048]].concat(), [mbr, vec![0; 512]].concat()]
    }
}

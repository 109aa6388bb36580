//! A made-up image: everything that `imgtool build` leaves, from a few megabytes of made-up data instead of Debian.

use std::fs;
use std::path::Path;

use image_format::chunker::{Piece, chunks};
use image_format::index::{Entry, Index, ZERO_MAX};
use image_format::manifest::{
    Check, DiskSizes, Health, Kernel, MANIFEST_FORMAT, ObjectRef, Package, Probe, Provenance, Root, Verity,
};
use image_format::store::Store;
use image_format::{BLOCK, ChunkId, Manifest, Sha256, codec, verity};

/// Stands for a bill of materials.
pub(crate) const SBOM: &str = "{\"spdxVersion\":\"SPDX-2.3\"}\n";

/// What to make.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) name: String,
    pub(crate) counter: u64,
    /// One seed a "file" of 16 blocks; two images that share seeds share chunks.
    pub(crate) files: Vec<u64>,
    pub(crate) kernel: Vec<u8>,
    pub(crate) initramfs: Vec<u8>,
    pub(crate) packages: Vec<(&'static str, &'static str)>,
    pub(crate) cmdline: String,
    pub(crate) checks: Vec<&'static str>,
}

impl Fake {
    /// An image with `files` made-up files.
    pub(crate) fn new(name: &str, counter: u64, files: u64) -> Self {
        Self {
            name: name.to_owned(),
            counter,
            files: (0..files).collect(),
            kernel: noise(1, 30_000),
            initramfs: noise(2, 70_000),
            packages: vec![("base-files", "12.4"), ("openssh-server", "1:9.2p1-2")],
            cmdline: "console=ttyS0,115200 panic=10".to_owned(),
            checks: vec!["ssh.service"],
        }
    }

    /// Puts the objects into the repository's store and the manifest into `builds/`.
    pub(crate) fn write(&self, repo: &Path) {
        let store = Store::open(repo.join("store")).unwrap();
        let manifest = self.manifest(&store);
        let dir = repo.join("builds").join(&self.name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("manifest.json"), manifest.to_bytes().unwrap()).unwrap();
    }

    /// The manifest; its objects are in `store` afterwards.
    pub(crate) fn manifest(&self, store: &Store) -> Manifest {
        let data = self.root();
        let mut batch = store.batch().unwrap();
        let mut entries = Vec::new();
        for piece in chunks(data.as_slice()) {
            match piece.unwrap() {
                Piece::Data(plain) => {
                    let stored = codec::encode(&plain);
                    let object = batch.put(&stored).unwrap().id;
                    let (plain_len, stored_len) = (plain.len() as u32, stored.len() as u32);
                    entries.push(Entry { chunk: ChunkId::of(&plain), object, plain_len, stored_len });
                }
                Piece::Zero(len) => {
                    entries.push(Entry::zero(u32::try_from(len.min(ZERO_MAX.into())).unwrap()));
                }
            }
        }
        let mut put = |bytes: &[u8]| ObjectRef { id: batch.put(bytes).unwrap().id, size: bytes.len() as u64 };
        let index = put(&Index::new(entries).unwrap().encode());
        let (kernel, initramfs) = (put(&self.kernel), put(&self.initramfs));
        let files = put(&self.file_list());
        let sbom = put(&zstd::bulk::compress(SBOM.as_bytes(), 3).unwrap());
        batch.commit().unwrap();
        let salt = Sha256::of(self.name.as_bytes());
        let mut tree = verity::Builder::new(salt, data.len() as u64).unwrap();
        tree.update(&data);
        let root_hash = tree.finish().unwrap().root_hash;
        Manifest {
            format: MANIFEST_FORMAT,
            name: self.name.parse().unwrap(),
            arch: "amd64".into(),
            class: "generic".into(),
            counter: self.counter,
            epoch: 1_790_000_000 + self.counter as i64,
            root: Root { size: data.len() as u64, index, verity: Verity { root_hash, salt } },
            kernel: Kernel {
                release: "6.1.0-42-amd64".into(),
                object: kernel,
                cmdline: self.cmdline.clone(),
            },
            initramfs,
            bios: None,
            disk: DiskSizes { slot_mib: 2048, state_mib: 512 },
            health: self.health(),
            etc_state: vec!["ssh".into()],
            packages: self.packages.iter().map(|(name, version)| package(name, version)).collect(),
            files,
            sbom: Some(sbom),
            provenance: Some(self.provenance()),
        }
    }

    fn provenance(&self) -> Provenance {
        let digest = |text: &str| Sha256::of(text.as_bytes());
        Provenance {
            builder: "made-up 1".into(),
            recipe: digest(&self.name),
            agent: digest("agent"),
            trusted_root: digest("root"),
            archives: Vec::new(),
            allowed_secrets: Vec::new(),
        }
    }

    fn health(&self) -> Health {
        let check = |unit: &&str| Check {
            name: (*unit).to_owned(),
            timeout_s: 5,
            probe: Probe::Unit((*unit).to_owned()),
        };
        Health { attempts: 3, deadline_s: 120, checks: self.checks.iter().map(check).collect() }
    }

    /// Files one after the other, each with a run of zeros behind it.
    fn root(&self) -> Vec<u8> {
        let mut data = Vec::new();
        for seed in &self.files {
            // Half of it compresses.
            data.extend(noise(*seed, 8 * BLOCK as usize));
            data.extend(noise(*seed, BLOCK as usize).repeat(8));
            data.extend(vec![0; 4 * BLOCK as usize]);
        }
        data
    }

    fn file_list(&self) -> Vec<u8> {
        let line = |seed: &u64| {
            let path = format!("/usr/lib/made-up/{seed:04}");
            let digest = blake3_hex(*seed);
            serde_json::json!({
                "path": path, "type": "file", "mode": "0644", "uid": 0, "gid": 0, "mtime": 1, "size": 16 * BLOCK, "blake3": digest,
            })
            .to_string()
        };
        let lines: Vec<String> = self.files.iter().map(line).collect();
        zstd::bulk::compress(format!("{}\n", lines.join("\n")).as_bytes(), 3).unwrap()
    }
}

fn blake3_hex(seed: u64) -> String {
    ChunkId::of(&seed.to_le_bytes()).to_string()
}

fn package(name: &str, version: &str) -> Package {
    Package { name: name.into(), version: version.into(), arch: "amd64".into() }
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"noise").update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

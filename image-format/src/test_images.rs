//! Made-up images for tests, here and in crates that enable the feature `sim`.

use crate::manifest::{DiskSizes, Health, Kernel, MANIFEST_FORMAT, ObjectRef, Provenance, Root, Verity};
use crate::record::ImageRef;
use crate::{BLOCK, Manifest, ObjectId, Sha256};

/// An image by name alone; its manifest digest is the SHA-256 of the name.
///
/// # Panics
/// On a name that is none.
pub fn image(name: &str, counter: u64) -> ImageRef {
    let parsed = name.parse().expect("a test names valid images");
    ImageRef { name: parsed, manifest: Sha256::of(name.as_bytes()), counter }
}

/// A provenance record whose digests stand for nothing.
pub fn provenance() -> Provenance {
    let digest = Sha256::of(b"test");
    Provenance {
        builder: "test 1".into(),
        recipe: digest,
        agent: digest,
        trusted_root: digest,
        archives: Vec::new(),
        allowed_secrets: Vec::new(),
    }
}

/// A small manifest whose digests stand for nothing.
///
/// # Panics
/// On a name that is none.
pub fn manifest(name: &str, counter: u64) -> Manifest {
    let object = |size| ObjectRef { id: ObjectId::of(b"test"), size };
    Manifest {
        format: MANIFEST_FORMAT,
        name: name.parse().expect("a test names valid images"),
        arch: "amd64".into(),
        class: "generic".into(),
        counter,
        epoch: 0,
        root: Root {
            size: 10 * BLOCK,
            index: object(32),
            verity: Verity { root_hash: Sha256::of(b"root"), salt: Sha256::of(b"salt") },
        },
        kernel: Kernel { release: "6.1.0-test".into(), object: object(1000), cmdline: "panic=10".into() },
        initramfs: object(2000),
        bios: None,
        disk: DiskSizes { slot_mib: 24, state_mib: 8 },
        health: Health { attempts: 3, deadline_s: 60, checks: Vec::new() },
        etc_state: Vec::new(),
        packages: Vec::new(),
        files: object(10),
        sbom: Some(object(20)),
        provenance: Some(provenance()),
    }
}

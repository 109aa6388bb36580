//! Signed documents: canonical JSON with one spelling.

use image_format::Manifest;
use image_format::document::DocumentError;
use image_format::pin::{Assignments, Pin};

/// A manifest.
pub fn manifest(bytes: &[u8]) {
    round_trip(bytes, Manifest::parse, Manifest::to_bytes);
}

/// A group's pin.
pub fn pin(bytes: &[u8]) {
    round_trip(bytes, Pin::parse, Pin::to_bytes);
}

/// The assignments of nodes to groups.
pub fn assignments(bytes: &[u8]) {
    round_trip(bytes, Assignments::parse, Assignments::to_bytes);
}

/// What is accepted can be written, reads back to the same, and is then written to the same bytes.
fn round_trip<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, DocumentError>,
    write: impl Fn(&T) -> Result<Vec<u8>, DocumentError>,
) {
    match parse(bytes) {
        Ok(value) => {
            let written = write(&value).expect("what was accepted can be written");
            let again = parse(&written).expect("what was written is accepted");
            assert_eq!(again, value);
            assert_eq!(write(&again).unwrap(), written);
        }
        Err(DocumentError::Field { found, .. }) => assert!(found.chars().count() <= 80, "{found}"),
        Err(DocumentError::Json { .. }) => {}
    }
}

/// Valid inputs.
pub mod seeds {
    use std::collections::BTreeMap;

    use image_format::manifest::provenance::{AllowedSecret, Archive, Snapshot};
    use image_format::manifest::{BiosBoot, Check, Package, Probe};
    use image_format::pin::{Assignments, DiskConsent, PIN_FORMAT, Pin, PinnedImage};
    use image_format::{Manifest, Sha256, index, test_images};

    /// A small manifest that satisfies every rule.
    pub(crate) fn small(name: &str) -> Manifest {
        let mut manifest = test_images::manifest(name, 1);
        manifest.root.index.size = index::encoded_len(1);
        manifest
    }

    /// An old and a new manifest, with one of everything.
    pub fn manifest() -> Vec<Vec<u8>> {
        let mut manifest = small("ha@1");
        manifest.bios = Some(BiosBoot { object: manifest.files });
        let probes = [
            Probe::Unit("a.service".into()),
            Probe::Command(vec!["true".into(), String::new()]),
            Probe::Tcp("[::1]:22".into()),
            Probe::Http("http://a/b".into()),
        ];
        manifest.health.checks =
            probes.into_iter().map(|probe| Check { name: "c".into(), timeout_s: 5, probe }).collect();
        manifest.etc_state = vec!["ssh/keys".into()];
        manifest.packages =
            vec![Package { name: "a".into(), version: "1:2~3-4+b1".into(), arch: "all".into() }];
        let provenance = manifest.provenance.as_mut().unwrap();
        provenance.archives = vec![Archive {
            suite: "bookworm".into(),
            components: vec!["main".into()],
            snapshot: Some(Snapshot {
                url: "http://a/20260101T000000Z".into(),
                in_release: Sha256::of(b"x"),
            }),
        }];
        provenance.allowed_secrets =
            vec![AllowedSecret { path: "/a".into(), what: "key".into(), reason: "public".into() }];
        let mut old = small("ha@0");
        (old.format, old.sbom, old.provenance) = (1, None, None);
        vec![manifest.to_bytes().unwrap(), old.to_bytes().unwrap()]
    }

    /// With and without consent to a disk.
    pub fn pin() -> Vec<Vec<u8>> {
        let stable = PinnedImage { name: "ha@1".parse().unwrap(), manifest: Sha256::of(b"x") };
        let plain = Pin { format: PIN_FORMAT, group: "ha".parse().unwrap(), stable, disk: None };
        let disk = Some(DiskConsent { disk: "vda".into(), wipe: true });
        vec![plain.to_bytes().unwrap(), Pin { disk, ..plain }.to_bytes().unwrap()]
    }

    /// None and two nodes.
    pub fn assignments() -> Vec<Vec<u8>> {
        let group = |name: &str| name.parse().unwrap();
        let nodes = ["52-54-00-00-00-01", "52-54-00-00-00-02"];
        let full = Assignments {
            format: PIN_FORMAT,
            default: Some(group("rest")),
            nodes: nodes.iter().map(|node| (node.parse().unwrap(), group("ha"))).collect::<BTreeMap<_, _>>(),
        };
        vec![Assignments::empty().to_bytes().unwrap(), full.to_bytes().unwrap()]
    }
}

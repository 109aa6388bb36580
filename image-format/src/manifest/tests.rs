use proptest::prelude::*;

use super::provenance::{AllowedSecret, Archive, Snapshot};
use super::*;
use crate::ObjectId;

pub(crate) fn object(content: &str, size: u64) -> ObjectRef {
    ObjectRef { id: ObjectId::of(content.as_bytes()), size }
}

/// A manifest that passes every rule.
pub(crate) fn sample() -> Manifest {
    let check = |name: &str, probe| Check { name: name.into(), timeout_s: 5, probe };
    Manifest {
        format: MANIFEST_FORMAT,
        name: "ha@1".parse().unwrap(),
        arch: "amd64".into(),
        class: "generic".into(),
        counter: 1,
        epoch: 1_700_000_000,
        root: Root {
            size: 1 << 20,
            index: object("index", 24 + 72 * 9),
            verity: Verity { root_hash: Sha256::of(b"root"), salt: Sha256::of(b"salt") },
        },
        kernel: Kernel {
            release: "6.1.0-40-amd64".into(),
            object: object("kernel", 8 << 20),
            cmdline: "console=ttyS0,115200 panic=10".into(),
        },
        initramfs: object("initramfs", 9 << 20),
        bios: Some(BiosBoot { object: object("bios", 60_000) }),
        disk: DiskSizes { slot_mib: 1024, state_mib: 256 },
        health: Health {
            attempts: 3,
            deadline_s: 120,
            checks: vec![
                check("ssh", Probe::Unit("ssh.service".into())),
                check("cib", Probe::Command(vec!["crm_verify".into(), "-L".into(), String::new()])),
                check("sshd", Probe::Tcp("127.0.0.1:22".into())),
                check("web", Probe::Http("http://[::1]:80/health".into())),
            ],
        },
        etc_state: vec!["machine-id".into(), "ssh/keys".into()],
        packages: vec![Package { name: "bash".into(), version: "5.2.15-2+b2".into(), arch: "amd64".into() }],
        files: object("files", 100),
        sbom: Some(object("sbom", 50)),
        provenance: Some(Provenance {
            archives: vec![Archive {
                suite: "bookworm".into(),
                components: vec!["main".into()],
                snapshot: Some(Snapshot {
                    url: "https://snapshot.debian.org/archive/debian/20260101T000000Z".into(),
                    in_release: Sha256::of(b"InRelease"),
                }),
            }],
            allowed_secrets: vec![AllowedSecret {
                path: "/etc/a.key".into(),
                what: "private key".into(),
                reason: "public since 1996".into(),
            }],
            ..crate::test_images::provenance()
        }),
    }
}

/// The field that is refused after `change`.
fn refused(change: impl FnOnce(&mut Manifest)) -> String {
    let mut manifest = sample();
    change(&mut manifest);
    let error = manifest.to_bytes().unwrap_err();
    assert_eq!(manifest.validate().as_ref(), Err(&error));
    // What cannot be written cannot be read either.
    let loose = serde_json::to_vec(&manifest).unwrap();
    assert_eq!(Manifest::parse(&loose).unwrap_err(), error);
    match error {
        DocumentError::Field { field, .. } => field,
        DocumentError::Json { .. } => panic!("{error:?}"),
    }
}

#[test]
fn manifests_round_trip() {
    let bytes = sample().to_bytes().unwrap();
    assert_eq!(Manifest::parse(&bytes).unwrap(), sample());
    assert_eq!(Manifest::parse(&bytes).unwrap().to_bytes().unwrap(), bytes);
    let names: Vec<_> = sample().objects().map(|(name, _)| name).collect();
    assert_eq!(names, ["index", "kernel", "initramfs", "files", "bios", "sbom"]);
}

#[test]
fn the_older_format_is_read_and_written_as_it_was() {
    let mut old = sample();
    (old.format, old.sbom, old.provenance) = (1, None, None);
    let bytes = old.to_bytes().unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    assert!(!text.contains("sbom") && !text.contains("provenance"), "{text}");
    assert_eq!(Manifest::parse(&bytes).unwrap(), old);
    assert_eq!(refused(|m| m.format = 1), "sbom");
    assert_eq!(refused(|m| (m.format, m.sbom) = (1, None)), "provenance");
    assert_eq!(refused(|m| m.sbom = None), "sbom");
    assert_eq!(refused(|m| m.provenance = None), "provenance");
}

#[test]
fn a_format_of_later_is_refused_by_its_number() {
    let later = br#"{"format":3,"something":"new"}"#;
    let error = Manifest::parse(later).unwrap_err().to_string();
    assert_eq!(error, "manifest: format: expected 1 to 2, found 3");
}

#[test]
fn a_provenance_record_is_checked() {
    let with = |change: fn(&mut Provenance)| refused(|m| change(m.provenance.as_mut().unwrap()));
    assert_eq!(with(|p| p.builder = "a\nb".into()), "provenance.builder");
    assert_eq!(with(|p| p.archives[0].components.clear()), "provenance.archives.components (entries)");
    for path in ["", "/", "etc/a", "/etc/../a", "/a\n"] {
        let field = refused(|m| m.provenance.as_mut().unwrap().allowed_secrets[0].path = path.into());
        assert_eq!(field, "provenance.allowed_secrets.path", "{path:?}");
    }
    assert_eq!(with(|p| p.allowed_secrets[0].reason = String::new()), "provenance.allowed_secrets.reason");
    assert_eq!(refused(|m| m.sbom = Some(object("", 0))), "sbom.size");
}

#[test]
fn numbers_out_of_range_are_refused() {
    assert_eq!(refused(|m| m.format = 3), "format");
    assert_eq!(refused(|m| m.epoch = -1), "epoch");
    for size in [0, 4097, ROOT_MAX + 4096, 1 << 62] {
        assert_eq!(refused(|m| m.root.size = size), "root.size");
    }
    for size in [0, 95, crate::index::INDEX_MAX + 1] {
        assert_eq!(refused(|m| m.root.index.size = size), "root.index.size");
    }
    assert_eq!(refused(|m| m.kernel.object.size = 0), "kernel.object.size");
    assert_eq!(refused(|m| m.kernel.object.size = KERNEL_MAX + 1), "kernel.object.size");
    assert_eq!(refused(|m| m.initramfs.size = INITRAMFS_MAX + 1), "initramfs.size");
    assert_eq!(refused(|m| m.bios = Some(BiosBoot { object: object("", BIOS_MAX + 1) })), "bios.object.size");
    assert_eq!(refused(|m| m.files.size = FILES_MAX + 1), "files.size");
    assert_eq!(refused(|m| m.disk.slot_mib = 0), "disk.slot_mib");
    assert_eq!(refused(|m| m.disk.state_mib = 1 << 60), "disk.state_mib");
    assert_eq!(refused(|m| m.health.attempts = 0), "health.attempts");
    assert_eq!(refused(|m| m.health.deadline_s = 0), "health.deadline_s");
    assert_eq!(refused(|m| m.health.checks[0].timeout_s = 0), "health.checks.ssh.timeout_s");
    let mut counter = sample();
    counter.counter = 1 << 63;
    assert!(matches!(counter.to_bytes(), Err(DocumentError::Field { field, .. }) if field == "counter"));
}

#[test]
fn lists_out_of_range_are_refused() {
    assert_eq!(
        refused(|m| m.health.checks = vec![m.health.checks[0].clone(); 65]),
        "health.checks (entries)"
    );
    assert_eq!(refused(|m| m.etc_state = vec!["a".into(); 257]), "etc_state (entries)");
    let package = sample().packages[0].clone();
    assert_eq!(refused(|m| m.packages = vec![package; 20_001]), "packages (entries)");
}

#[test]
fn texts_that_would_be_misread_are_refused() {
    for arch in ["", "AMD64", "a/b", &"a".repeat(65)] {
        assert_eq!(refused(|m| m.arch = arch.into()), "arch");
        assert_eq!(refused(|m| m.class = arch.into()), "class");
    }
    for release in ["", "..", "-6", "6.1/..", "6 1", &"6".repeat(65)] {
        assert_eq!(refused(|m| m.kernel.release = release.into()), "kernel.release");
    }
    for cmdline in [
        &"a".repeat(201),
        "a\tb",
        "a\nb",
        "é",
        "bascule.server=http://evil",
        "quiet bascule.kernel=0",
        "\"bascule.server=x\"",
        "${net0/mac}",
        "a;b",
    ] {
        assert_eq!(refused(|m| m.kernel.cmdline = cmdline.into()), "kernel.cmdline");
    }
    for path in ["", "/passwd", "../passwd", "a/../b", "a//b", "a/.", "a\nb", &"a".repeat(256)] {
        assert_eq!(refused(|m| m.etc_state = vec![path.into()]), "etc_state");
    }
    assert_eq!(refused(|m| m.packages[0].version = String::new()), "packages.version");
}

#[test]
fn probes_are_checked() {
    let probe = |probe| refused(|m| m.health.checks[0].probe = probe);
    for unit in ["", "-x", "a b", "a\0"] {
        assert_eq!(probe(Probe::Unit(unit.into())), "health.checks.ssh.unit");
    }
    assert_eq!(probe(Probe::Command(vec![])), "health.checks.ssh.command (words)");
    for words in [vec![""], vec!["sh", "-c", "a\nb"]] {
        let words = words.into_iter().map(str::to_owned).collect();
        assert_eq!(probe(Probe::Command(words)), "health.checks.ssh.command");
    }
    for address in ["", "host", ":22", "host:", "host:0", "host:65536", "a b:22"] {
        assert_eq!(probe(Probe::Tcp(address.into())), "health.checks.ssh.tcp");
    }
    for url in ["", "http://", "https://x", "http://a b"] {
        assert_eq!(probe(Probe::Http(url.into())), "health.checks.ssh.http");
    }
}

#[test]
fn shape_is_strict() {
    let good = String::from_utf8(sample().to_bytes().unwrap()).unwrap();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        match Manifest::parse(good.replacen(from, to, 1).as_bytes()).unwrap_err() {
            DocumentError::Json { source, .. } => source.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert!(with("{\"arch\"", "{\"speed\":1,\"arch\"").contains("unknown field `speed`"));
    assert!(with("\"attempts\":3", "\"attempts\":3,\"attempts\":9").contains("key \"attempts\" twice"));
    assert!(with("\"attempts\":3", "\"attempts\":300").contains("invalid value: integer `300`"));
    assert!(with("\"counter\":1", "\"counter\":1.0").contains("not a 64-bit integer"));
    assert!(with("\"counter\":1", "\"counter\":-1").contains("invalid value"));
    assert!(with("\"class\":\"generic\",", "").contains("missing field `class`"));
    let endless = " ".repeat(MANIFEST_MAX as usize + 1);
    let error = Manifest::parse(endless.as_bytes()).unwrap_err();
    assert!(matches!(error, DocumentError::Json { source: signing::json::JsonError::TooLarge { .. }, .. }));
}

proptest! {
    #[test]
    fn damaged_manifests_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = sample().to_bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(manifest) = Manifest::parse(&bytes) {
            prop_assert_eq!(Manifest::parse(&manifest.to_bytes().unwrap()).unwrap(), manifest);
        }
    }
}

//! What the programs are made of: code that must not be in one is not built into it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::{BTreeMap, BTreeSet};

use bascule_tests::workspace;

/// The packages of a program as it is built for use, each with its features.
fn packages(program: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut cargo = workspace::cargo();
    cargo.args([
        "tree",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}|{f}",
        "--package",
        program,
    ]);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let Some((package, features)) = line.split_once('|') else { continue };
        let name = package.split(' ').next().unwrap();
        let features = features.trim_end_matches("(*)").trim();
        let features = features.split(',').filter(|feature| !feature.is_empty()).map(str::to_owned);
        packages.entry(name.to_owned()).or_default().extend(features);
    }
    packages
}

/// The agent verifies, and nothing else; the server signs snapshot and timestamp; only `imgtool` has all keys.
#[test]
fn signing_code_is_where_it_may_be() {
    let expected = [
        ("initramfs-agent", [].as_slice()),
        ("server", &["online-keys"]),
        ("image-tool", &["online-keys", "secret-keys"]),
    ];
    for (program, features) in expected {
        let found: Vec<String> = packages(program)["signing"].iter().cloned().collect();
        assert_eq!(found, features, "{program}");
    }
}

/// Other key types and other implementations are for development.
#[test]
fn no_program_verifies_anything_but_ed25519() {
    for program in ["initramfs-agent", "server", "image-tool"] {
        let packages = packages(program);
        assert!(packages.contains_key("ed25519-dalek"), "{program}");
        for foreign in ["p256", "rsa", "ecdsa", "sigstore-tuf", "aws-lc-rs", "aws-lc-sys"] {
            assert!(!packages.contains_key(foreign), "{program} has {foreign}");
        }
        assert!(!packages["ed25519-dalek"].contains("legacy_compatibility"), "{program}");
        assert!(!packages["ed25519-dalek"].contains("hazmat"), "{program}");
    }
}

use serde_json::Value;

use super::*;
use crate::build::packages::Installed;
use crate::build::tree::Node;

fn installed(name: &str, source: &str, depends: &[&[&str]], provides: &[&str]) -> Installed {
    Installed {
        package: image_format::manifest::Package {
            name: name.into(),
            version: "1:2+b1".into(),
            arch: "amd64".into(),
        },
        source: (source.into(), "1:2".into()),
        maintainer: Some("Debian Team <team@example.org>".into()),
        homepage: None,
        summary: Some("something".into()),
        depends: depends.iter().map(|any| any.iter().map(|name| (*name).to_owned()).collect()).collect(),
        provides: provides.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn parts() -> Parts {
    let mut tree = Tree::new(None, 0);
    tree.make_dirs("usr/share/doc/g++", 0).unwrap();
    let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
                Files: *\nCopyright: X\nLicense: GPL-3+ or odd\n";
    let node = Node::new(
        super::super::tree::Kind::File(super::super::tree::Content::Bytes(text.as_bytes().into())),
        0o644,
        0,
    );
    tree.insert("usr/share/doc/g++/copyright", node).unwrap();
    let list = vec![
        installed("app", "app", &[&["none", "g++"], &["mta"], &["app"]], &[]),
        installed("exim", "exim4", &[], &["mta"]),
        installed("g++", "gcc-defaults", &[], &[]),
    ];
    Parts::of(&tree, list).unwrap()
}

fn bill() -> Value {
    let name = "ha@1".parse().unwrap();
    let digest = Sha256::of(b"x");
    let subject =
        Subject { name: &name, epoch: 1_700_000_000, root_hash: digest, agent: digest, suite: "bookworm" };
    let bytes = encode(&subject, &parts()).unwrap();
    assert_eq!(bytes, encode(&subject, &parts()).unwrap(), "the same input gives the same bytes");
    serde_json::from_str(&decode(&bytes).unwrap()).unwrap()
}

/// What the JSON schema of SPDX 2.3 asks for, as far as it concerns what is written here.
#[test]
fn the_document_has_what_spdx_requires() {
    let bill = bill();
    assert_eq!(bill["spdxVersion"], "SPDX-2.3");
    assert_eq!(bill["dataLicense"], "CC0-1.0");
    assert_eq!(bill["SPDXID"], "SPDXRef-DOCUMENT");
    assert_eq!(bill["name"], "ha@1");
    let root_hash = Sha256::of(b"x");
    assert_eq!(bill["documentNamespace"], format!("https://spdx.org/spdxdocs/bascule-ha-1-{root_hash}"));
    assert_eq!(bill["creationInfo"]["created"], "2023-11-14T22:13:20Z");
    let mut ids = BTreeSet::from(["SPDXRef-DOCUMENT"]);
    for package in bill["packages"].as_array().unwrap() {
        let id = package["SPDXID"].as_str().unwrap();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
        assert!(id.strip_prefix("SPDXRef-").unwrap().bytes().all(allowed), "{id}");
        assert!(ids.insert(id), "{id} twice");
        assert!(package["name"].is_string() && package["downloadLocation"].is_string(), "{package}");
        assert_eq!(package["filesAnalyzed"], false);
        // The schema writes what the text of the specification writes with a hyphen.
        let purpose = &package["primaryPackagePurpose"];
        assert!(
            purpose.is_null()
                || ["OPERATING_SYSTEM", "APPLICATION", "SOURCE"].contains(&purpose.as_str().unwrap())
        );
    }
    for relation in bill["relationships"].as_array().unwrap() {
        for end in ["spdxElementId", "relatedSpdxElement"] {
            assert!(ids.contains(relation[end].as_str().unwrap()), "{relation}");
        }
    }
}

#[test]
fn packages_have_source_license_and_url() {
    let bill = bill();
    let package = |id: &str| {
        let list = bill["packages"].as_array().unwrap();
        list.iter().find(|package| package["SPDXID"] == id).unwrap_or_else(|| panic!("{id}")).clone()
    };
    let gcc = package("SPDXRef-deb-g-2B-2B-amd64");
    assert_eq!(gcc["licenseDeclared"], "GPL-3.0-or-later OR LicenseRef-Debian-odd");
    assert_eq!(gcc["originator"], "Organization: Debian Team (team@example.org)");
    assert_eq!(
        gcc["externalRefs"][0]["referenceLocator"],
        "pkg:deb/debian/g%2B%2B@1:2%2Bb1?arch=amd64&distro=bookworm"
    );
    assert_eq!(package("SPDXRef-source-gcc-defaults-1-3A2")["primaryPackagePurpose"], "SOURCE");
    assert_eq!(package("SPDXRef-deb-app-amd64")["licenseDeclared"], "NOASSERTION");
    assert_eq!(bill["hasExtractedLicensingInfos"][0]["licenseId"], "LicenseRef-Debian-odd");
}

#[test]
fn dependencies_follow_alternatives_and_virtual_packages() {
    let bill = bill();
    let relations = bill["relationships"].as_array().unwrap().iter();
    let depends: Vec<(&str, &str)> = relations
        .filter(|relation| relation["relationshipType"] == "DEPENDS_ON")
        .map(|relation| {
            (relation["spdxElementId"].as_str().unwrap(), relation["relatedSpdxElement"].as_str().unwrap())
        })
        .collect();
    let app = "SPDXRef-deb-app-amd64";
    assert_eq!(depends, [(app, "SPDXRef-deb-exim-amd64"), (app, "SPDXRef-deb-g-2B-2B-amd64")]);
}

//! The bill of materials: SPDX 2.3 JSON, made of what dpkg says about the root.
//!
//! SPDX and not CycloneDX, because its relationships say what a Debian image consists of (the image contains binary packages,
//! which are generated from source packages and depend on each other; vulnerabilities are tracked by source package), its
//! license expressions are what DEP-5 files can be translated to, and it needs no random number.
//!
//! The same root gives the same bytes: packages are sorted, the date is the image's epoch, the namespace has the root hash.

mod document;
mod licence;
mod purl;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use anyhow::{Context as _, ensure};
use image_format::manifest::SBOM_MAX;
use image_format::{ImageName, Sha256};
use signing::UnixTime;

use self::document::{
    Checksum, CreationInfo, Document, ExternalRef, ExtractedLicense, NOASSERTION, Package, Relationship,
};
use super::packages::Installed;
use super::tree::Tree;
use crate::BUILDER;

/// As for the file list: written once, seldom read.
const LEVEL: i32 = 12;
/// Largest bill read, in bytes, decompressed.
const PLAIN_MAX: u64 = 256 << 20;
/// Largest copyright file read, in bytes.
const COPYRIGHT_MAX: u64 = 4 << 20;
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";
const AGENT: &str = "SPDXRef-Agent";

/// What the bill lists.
#[derive(Debug)]
pub(crate) struct Parts {
    installed: Vec<Installed>,
    /// License expressions by package name.
    licences: BTreeMap<String, licence::Expression>,
}

impl Parts {
    /// Looks for licenses of the `installed` packages in `tree`.
    pub(crate) fn of(tree: &Tree, installed: Vec<Installed>) -> anyhow::Result<Self> {
        let mut licences = BTreeMap::new();
        for Installed { package, .. } in &installed {
            let path = tree.resolve(&format!("usr/share/doc/{}/copyright", package.name))?;
            let Some(super::tree::Kind::File(content)) = tree.get(&path).map(|node| &node.kind) else {
                continue;
            };
            let bytes = tree.read_head(content, COPYRIGHT_MAX).with_context(|| format!("read /{path}"))?;
            if let Some(found) = licence::read(&String::from_utf8_lossy(&bytes)) {
                licences.insert(package.name.clone(), found);
            }
        }
        Ok(Self { installed, licences })
    }

    /// Packages that all have the same copyright file.
    pub(crate) fn with_copyright(installed: Vec<Installed>, copyright: &str) -> Self {
        let found = licence::read(copyright);
        let names = installed.iter().map(|installed| installed.package.name.clone());
        let licences = names.filter_map(|name| Some((name, found.clone()?))).collect();
        Self { installed, licences }
    }

    /// The installed packages.
    pub(crate) fn installed(&self) -> &[Installed] {
        &self.installed
    }
}

/// What the bill is of.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    /// The image.
    pub(crate) name: &'a ImageName,
    /// Its date.
    pub(crate) epoch: u64,
    /// Root hash of its verity tree.
    pub(crate) root_hash: Sha256,
    /// The agent in it.
    pub(crate) agent: Sha256,
    /// Debian's release.
    pub(crate) suite: &'a str,
}

/// The compressed bill.
pub(crate) fn encode(subject: &Subject<'_>, parts: &Parts) -> anyhow::Result<Vec<u8>> {
    let mut json =
        serde_json::to_vec_pretty(&document(subject, parts)).context("write the bill of materials")?;
    json.push(b'\n');
    zstd::bulk::compress(&json, LEVEL).context("compress the bill of materials")
}

/// The text of a compressed bill.
pub(crate) fn decode(bytes: &[u8]) -> anyhow::Result<String> {
    let found = bytes.len();
    ensure!(found as u64 <= SBOM_MAX, "bill of materials: expected at most {SBOM_MAX} bytes, found {found}");
    let decoder = zstd::stream::read::Decoder::new(bytes).context("decompress the bill of materials")?;
    let mut text = String::new();
    let read = decoder.take(PLAIN_MAX + 1).read_to_string(&mut text);
    let read = read.context("decompress the bill of materials")?;
    ensure!(read as u64 <= PLAIN_MAX, "bill of materials: expected at most {PLAIN_MAX} bytes of text");
    Ok(text)
}

fn document(subject: &Subject<'_>, parts: &Parts) -> Document {
    let mut packages = vec![image(subject), agent(subject)];
    let mut relationships =
        vec![Relationship::new(DOCUMENT, "DESCRIBES", IMAGE), Relationship::new(IMAGE, "CONTAINS", AGENT)];
    let mut sources = BTreeSet::new();
    for installed in &parts.installed {
        let id = binary_id(installed);
        packages.push(binary(subject, installed, parts.licences.get(&installed.package.name)));
        relationships.push(Relationship::new(IMAGE, "CONTAINS", &id));
        relationships.push(Relationship::new(&id, "GENERATED_FROM", &source_id(&installed.source)));
        sources.insert(&installed.source);
    }
    relationships.extend(dependencies(&parts.installed));
    packages.extend(sources.into_iter().map(|source| source_package(subject, source)));
    Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: subject.name.to_string(),
        namespace: format!(
            "https://spdx.org/spdxdocs/bascule-{}-{}-{}",
            subject.name.role, subject.name.version, subject.root_hash
        ),
        creation_info: CreationInfo {
            created: UnixTime(subject.epoch as i64).to_string(),
            creators: vec![format!("Tool: {}", BUILDER.replace(' ', "-"))],
        },
        extracted_licenses: extracted(parts),
        packages,
        relationships,
    }
}

/// The image as a whole.
fn image(subject: &Subject<'_>) -> Package {
    Package {
        version: Some(subject.name.version.to_string()),
        purpose: Some("OPERATING_SYSTEM"),
        comment: Some(format!("dm-verity root hash {}", subject.root_hash)),
        ..Package::new(IMAGE, subject.name.role.as_str())
    }
}

/// The agent, which no Debian package brings.
fn agent(subject: &Subject<'_>) -> Package {
    Package {
        file_name: Some("/usr/sbin/imgagent"),
        purpose: Some("APPLICATION"),
        checksums: vec![Checksum { algorithm: "SHA256", value: subject.agent.to_string() }],
        ..Package::new(AGENT, "imgagent")
    }
}

fn binary(subject: &Subject<'_>, installed: &Installed, licence: Option<&licence::Expression>) -> Package {
    let Installed { package, source: (source, version), .. } = installed;
    Package {
        version: Some(package.version.clone()),
        supplier: Some("Organization: Debian"),
        originator: installed.maintainer.as_ref().map(|who| originator(who)),
        homepage: installed.homepage.clone(),
        summary: installed.summary.clone(),
        source_info: Some(format!("built from source package {source} {version}")),
        declared: licence.map_or_else(|| NOASSERTION.to_owned(), |licence| licence.text.clone()),
        external_refs: vec![ExternalRef::purl(purl::deb(
            &package.name,
            &package.version,
            &package.arch,
            subject.suite,
        ))],
        ..Package::new(&binary_id(installed), &package.name)
    }
}

fn source_package(subject: &Subject<'_>, source: &(String, String)) -> Package {
    let (name, version) = source;
    Package {
        version: Some(version.clone()),
        supplier: Some("Organization: Debian"),
        purpose: Some("SOURCE"),
        external_refs: vec![ExternalRef::purl(purl::deb(name, version, "source", subject.suite))],
        ..Package::new(&source_id(source), name)
    }
}

/// `Name <address>` in SPDX's words. Packages are maintained by teams more often than by persons.
fn originator(maintainer: &str) -> String {
    let text = maintainer.replace('<', "(").replace('>', ")");
    let team = ["team", "maintainers", "developers", "group", "debian", "lists."];
    let is_team = team.iter().any(|word| text.to_ascii_lowercase().contains(word));
    format!("{}: {text}", if is_team { "Organization" } else { "Person" })
}

/// Who needs whom: of alternatives the installed one that is named first, of virtual packages all that provide it.
fn dependencies(installed: &[Installed]) -> Vec<Relationship> {
    let mut named: BTreeMap<&str, Vec<&Installed>> = BTreeMap::new();
    let mut provided: BTreeMap<&str, Vec<&Installed>> = BTreeMap::new();
    for package in installed {
        named.entry(&package.package.name).or_default().push(package);
        for name in &package.provides {
            provided.entry(name).or_default().push(package);
        }
    }
    let mut found = BTreeSet::new();
    for package in installed {
        for alternatives in &package.depends {
            let mut names = alternatives.iter().map(String::as_str);
            let needed = names.clone().find_map(|name| named.get(name));
            for needed in needed.or_else(|| names.find_map(|name| provided.get(name))).into_iter().flatten() {
                found.insert((binary_id(package), binary_id(needed)));
            }
        }
    }
    let relation = |(from, to): &(String, String)| Relationship::new(from, "DEPENDS_ON", to);
    found.iter().filter(|(from, to)| from != to).map(relation).collect()
}

/// Licenses that SPDX has no name for.
fn extracted(parts: &Parts) -> Vec<ExtractedLicense> {
    let named: BTreeMap<&str, &str> = parts
        .licences
        .values()
        .flat_map(|licence| &licence.references)
        .map(|(id, name)| (id.as_str(), name.as_str()))
        .collect();
    let license = |(id, name): (&str, &str)| ExtractedLicense {
        id: id.to_owned(),
        name: name.to_owned(),
        text: format!(
            "What Debian calls {name:?}; the text is in /usr/share/doc/PACKAGE/copyright of the image."
        ),
    };
    named.into_iter().map(license).collect()
}

fn binary_id(installed: &Installed) -> String {
    format!("SPDXRef-deb-{}-{}", escape(&installed.package.name), escape(&installed.package.arch))
}

fn source_id((name, version): &(String, String)) -> String {
    format!("SPDXRef-source-{}-{}", escape(name), escape(version))
}

/// Letters, digits, `.` and `-` are what identifiers may have; anything else becomes `-` and its upper-case hexadecimal code,
/// which no Debian name has.
fn escape(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => char::from(byte).to_string(),
        _ => format!("-{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests;

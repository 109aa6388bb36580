//! The rules of a manifest beyond its shape. They hold for what is written as well as for what is read.

use std::ops::RangeInclusive;

use super::{Check, MANIFEST_FORMAT, MANIFEST_MAX, Manifest, ObjectRef, Probe};
use crate::BLOCK;
use crate::document::{Document, DocumentError};
use crate::index;

/// Largest root file system in bytes; bounds the index, the verity tree and what the agent keeps in memory for them.
pub const ROOT_MAX: u64 = 16 << 30;
/// Largest kernel in bytes.
pub const KERNEL_MAX: u64 = 64 << 20;
/// Largest initramfs in bytes.
pub const INITRAMFS_MAX: u64 = 256 << 20;
/// Largest boot loader object in bytes: it must fit the BIOS boot partition.
pub const BIOS_MAX: u64 = 1 << 20;
/// Largest file list in bytes.
pub const FILES_MAX: u64 = 64 << 20;
/// Largest bill of materials in bytes.
pub const SBOM_MAX: u64 = 64 << 20;
/// Longest kernel command line of a role in bytes. The kernel cuts at 2048, and the `bascule.` words follow.
pub const CMDLINE_MAX: usize = 200;
/// Most health checks.
pub const CHECKS_MAX: usize = 64;
/// Most packages.
pub const PACKAGES_MAX: usize = 20_000;
/// Most persistent paths below `/etc`.
pub const ETC_STATE_MAX: usize = 256;

impl Document for Manifest {
    const WHAT: &'static str = "manifest";
    const MAX: u64 = MANIFEST_MAX;
    const FORMATS: RangeInclusive<u32> = 1..=MANIFEST_FORMAT;

    fn check(&self) -> Result<(), DocumentError> {
        Self::check_format(self.format.into())?;
        word("arch", &self.arch)?;
        word("class", &self.class)?;
        Self::number("counter", self.counter, 0..=i64::MAX as u64)?;
        Self::rule(self.epoch >= 0, "epoch", "seconds since 1970", self.epoch)?;
        check_artifacts(self)?;
        check_kernel(self)?;
        Self::number("disk.slot_mib", self.disk.slot_mib, 1..=1 << 20)?;
        Self::number("disk.state_mib", self.disk.state_mib, 0..=1 << 24)?;
        check_health(self)?;
        Self::number("etc_state (entries)", self.etc_state.len() as u64, 0..=ETC_STATE_MAX as u64)?;
        self.etc_state.iter().try_for_each(|path| check_etc_path(path))?;
        Self::number("packages (entries)", self.packages.len() as u64, 0..=PACKAGES_MAX as u64)?;
        for package in &self.packages {
            Self::text("packages.name", &package.name, 128)?;
            Self::text("packages.version", &package.version, 256)?;
            Self::text("packages.arch", &package.arch, 32)?;
        }
        check_origin(self)
    }
}

/// What format 2 has and format 1 has not.
fn check_origin(manifest: &Manifest) -> Result<(), DocumentError> {
    let expected = if manifest.format == 1 { "none in format 1" } else { "one" };
    let found = |there| if there { "one" } else { "none" };
    let fits = |there: bool| there == (manifest.format > 1);
    let (sbom, provenance) = (manifest.sbom.is_some(), manifest.provenance.is_some());
    Manifest::rule(fits(sbom), "sbom", expected, found(sbom))?;
    Manifest::rule(fits(provenance), "provenance", expected, found(provenance))?;
    if let Some(sbom) = &manifest.sbom {
        Manifest::number("sbom.size", sbom.size, 1..=SBOM_MAX)?;
    }
    manifest.provenance.as_ref().map_or(Ok(()), super::Provenance::check)
}

fn word(field: &str, value: &str) -> Result<(), DocumentError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    let ok = (1..=64).contains(&value.len()) && value.bytes().all(allowed);
    Manifest::rule(ok, field, "1 to 64 of a-z 0-9 . _ -", format!("{value:?}"))
}

fn check_artifacts(manifest: &Manifest) -> Result<(), DocumentError> {
    let root = &manifest.root;
    Manifest::number("root.size", root.size, BLOCK..=ROOT_MAX)?;
    let whole = root.size.is_multiple_of(BLOCK);
    Manifest::rule(whole, "root.size", format!("a multiple of {BLOCK}"), root.size)?;
    Manifest::number("root.index.size", root.index.size, index::encoded_len(1)..=index::INDEX_MAX)?;
    Manifest::number("kernel.object.size", manifest.kernel.object.size, 1..=KERNEL_MAX)?;
    Manifest::number("initramfs.size", manifest.initramfs.size, 1..=INITRAMFS_MAX)?;
    if let Some(bios) = &manifest.bios {
        Manifest::number("bios.object.size", bios.object.size, 1..=BIOS_MAX)?;
    }
    Manifest::number("files.size", manifest.files.size, 1..=FILES_MAX)
}

fn check_kernel(manifest: &Manifest) -> Result<(), DocumentError> {
    let release = &manifest.kernel.release;
    // It becomes a directory below /lib/modules.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._+~-".contains(&b);
    let ok = (1..=64).contains(&release.len())
        && release.bytes().all(allowed)
        && release.as_bytes()[0].is_ascii_alphanumeric();
    let expected = "1 to 64 of A-Z a-z 0-9 . _ + ~ - beginning with a letter or digit";
    Manifest::rule(ok, "kernel.release", expected, format!("{release:?}"))?;

    let cmdline = &manifest.kernel.cmdline;
    let found = || format!("{cmdline:?}");
    // The line passes through an iPXE script and a GRUB configuration: none of their quoting or expansion may begin.
    let plain = |b: u8| (b' '..=b'~').contains(&b) && !b"\"'\\$`&|;<>#".contains(&b);
    let ok = cmdline.len() <= CMDLINE_MAX && cmdline.bytes().all(plain);
    let expected =
        format!("at most {CMDLINE_MAX} printable ASCII characters without \" ' \\ $ ` & | ; < > #");
    Manifest::rule(ok, "kernel.cmdline", expected, found())?;
    let ours = cmdline.split(' ').any(|word| word.starts_with("bascule."));
    Manifest::rule(!ours, "kernel.cmdline", "no word that begins with bascule.", found())
}

fn check_health(manifest: &Manifest) -> Result<(), DocumentError> {
    let health = &manifest.health;
    Manifest::number("health.attempts", health.attempts.into(), 1..=20)?;
    Manifest::number("health.deadline_s", health.deadline_s.into(), 1..=86_400)?;
    Manifest::number("health.checks (entries)", health.checks.len() as u64, 0..=CHECKS_MAX as u64)?;
    health.checks.iter().try_for_each(check_probe)
}

fn check_probe(check: &Check) -> Result<(), DocumentError> {
    Manifest::text("health.checks.name", &check.name, 64)?;
    let field = format!("health.checks.{}", check.name);
    Manifest::number(&format!("{field}.timeout_s"), check.timeout_s.into(), 1..=3600)?;
    match &check.probe {
        Probe::Unit(unit) => {
            let ok =
                unit.len() <= 256 && !unit.starts_with('-') && unit.bytes().all(|b| b.is_ascii_graphic());
            let expected = "a unit name of at most 256 characters";
            Manifest::rule(ok && !unit.is_empty(), format!("{field}.unit"), expected, format!("{unit:?}"))
        }
        Probe::Command(words) => {
            Manifest::number(&format!("{field}.command (words)"), words.len() as u64, 1..=64)?;
            Manifest::text(&format!("{field}.command"), &words[0], 4096)?;
            words[1..].iter().try_for_each(|word| {
                let ok = word.len() <= 4096 && !word.chars().any(char::is_control);
                let expected = "at most 4096 bytes without control characters";
                Manifest::rule(ok, format!("{field}.command"), expected, format!("{word:?}"))
            })
        }
        Probe::Tcp(address) => {
            let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            let ok = port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0));
            let ok = ok && address.len() <= 256 && address.bytes().all(|b| b.is_ascii_graphic());
            Manifest::rule(ok, format!("{field}.tcp"), "HOST:PORT", format!("{address:?}"))
        }
        Probe::Http(url) => {
            let rest = url.strip_prefix("http://").filter(|rest| !rest.is_empty());
            let ok = rest.is_some() && url.len() <= 1024 && url.bytes().all(|b| b.is_ascii_graphic());
            Manifest::rule(ok, format!("{field}.http"), "http://HOST[:PORT]/PATH", format!("{url:?}"))
        }
    }
}

fn check_etc_path(path: &str) -> Result<(), DocumentError> {
    let part = |part: &str| !matches!(part, "" | "." | "..");
    let ok = path.len() <= 255 && !path.chars().any(char::is_control) && path.split('/').all(part);
    Manifest::rule(ok, "etc_state", "a path below /etc, relative, without . and ..", format!("{path:?}"))
}

/// What an image needs besides its chunks: name of the artifact and object.
pub(super) fn objects(manifest: &Manifest) -> impl Iterator<Item = (&'static str, ObjectRef)> {
    let bios = manifest.bios.as_ref().map(|bios| ("bios", bios.object));
    [
        ("index", manifest.root.index),
        ("kernel", manifest.kernel.object),
        ("initramfs", manifest.initramfs),
        ("files", manifest.files),
    ]
    .into_iter()
    .chain(bios)
    .chain(manifest.sbom.map(|sbom| ("sbom", sbom)))
}

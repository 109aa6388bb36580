//! Changes that enough keys have signed, and that no snapshot lists yet: they wait for a server that signs snapshot and timestamp.
//!
//! ```text
//! pending/0001.json, 0002.json, …     in the order in which they were signed, each on top of the one before:
//!                                     {"metadata": {"3.pins.json": "…"}, "targets": {"pins/<sha256>.web.json": "…"}}
//! ```
//!
//! They are part of what this repository says ([`crate::repo::Repo::view`]) until the server's answer is in the local store. Killed
//! before they are removed, they are recognised as settled and passed over.

mod view;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use fleet_protocol::Commit;
use fleet_protocol::publish::COMMIT_MAX;
use image_format::Sha256;
use image_format::repository::{MetadataFile, Upload};
use signing::repo::{Proposal, RoleName};

pub(crate) use self::view::view;
use crate::fsutil::{self, PUBLIC, read_limited};

/// The changes that wait, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pending(Vec<Upload>);

/// What waiting changes are to the metadata that a place has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// None is left: the place has them all.
    Settled,
    /// They follow what the place has.
    Follows,
    /// The place has other metadata of the same versions, or newer ones.
    Stale,
}

impl Pending {
    /// Reads the changes in `dir`, which need not exist.
    pub(crate) fn load(dir: &Path) -> anyhow::Result<Self> {
        files(dir)?.into_iter().map(|(_, path)| read(&path)).collect::<anyhow::Result<_>>().map(Self)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All files; what a later change replaces is among them.
    pub(crate) fn files(&self) -> Upload {
        let mut all = Upload::default();
        for Upload { metadata, targets, .. } in &self.0 {
            all.metadata.extend(metadata.clone());
            all.targets.extend(targets.clone());
        }
        all
    }

    /// The same without what is in force: `current` says version and digest of a role's file.
    pub(crate) fn unsettled(mut self, current: impl Fn(&str) -> Option<(u64, Sha256)>) -> Self {
        let is_in_force = |(name, bytes): (&String, &Vec<u8>)| {
            let file = parse(name)?;
            (current(&file.role)? == (file.version?, Sha256::of(bytes))).then_some((file.role, file.version))
        };
        let settled: BTreeMap<_, _> =
            self.0.iter().flat_map(|entry| entry.metadata.iter().filter_map(is_in_force)).collect();
        for entry in &mut self.0 {
            let is_settled = |name: &str| {
                parse(name).is_some_and(|file| {
                    settled.get(&file.role).is_some_and(|version| file.version <= *version)
                })
            };
            entry.metadata.retain(|name, _| !is_settled(name));
        }
        self.0.retain(|entry| !entry.metadata.is_empty());
        self
    }

    /// How the changes stand to what a place has.
    pub(crate) fn standing(&self, current: impl Fn(&str) -> Option<(u64, Sha256)>) -> Standing {
        let left = self.clone().unsettled(&current);
        let mut first: BTreeMap<String, u64> = BTreeMap::new();
        for file in left.0.iter().flat_map(|entry| entry.metadata.keys()).filter_map(|name| parse(name)) {
            let version = file.version.unwrap_or_default();
            first.entry(file.role).and_modify(|first| *first = version.min(*first)).or_insert(version);
        }
        let follows =
            |(role, first): (&String, &u64)| *first == current(role).map_or(0, |(version, _)| version) + 1;
        match first.iter().all(follows) {
            _ if first.is_empty() => Standing::Settled,
            true => Standing::Follows,
            false => Standing::Stale,
        }
    }

    /// The changes, each to be accepted on top of the one before.
    pub(crate) fn proposals(&self) -> anyhow::Result<Vec<Proposal>> {
        self.0.iter().map(proposal).collect()
    }
}

/// Keeps a change, durably, after those that are in `dir`.
pub(crate) fn push(dir: &Path, change: &Upload) -> anyhow::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("create directory {}", dir.display()));
        }
        _ => {}
    }
    let number = files(dir)?.last().map_or(0, |(number, _)| *number) + 1;
    let commit = commit_of(change)?;
    let mut bytes = serde_json::to_vec_pretty(&commit).context("write the signed change")?;
    bytes.push(b'\n');
    fsutil::write_atomic(&dir.join(format!("{number:04}.json")), &bytes, PUBLIC)
}

/// Removes all changes, the newest first: what is left when it is killed still fits together.
pub(crate) fn clear(dir: &Path) -> anyhow::Result<()> {
    for (_, path) in files(dir)?.into_iter().rev() {
        fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}

/// As the body of a commit.
pub(crate) fn commit_of(upload: &Upload) -> anyhow::Result<Commit> {
    let text = |(name, bytes): (&String, &Vec<u8>)| {
        let text = String::from_utf8(bytes.clone());
        Ok((name.clone(), text.with_context(|| format!("{name}: expected text"))?))
    };
    Ok(Commit {
        metadata: upload.metadata.iter().map(text).collect::<anyhow::Result<_>>()?,
        targets: upload.targets.iter().map(text).collect::<anyhow::Result<_>>()?,
        base: upload.base.clone(),
    })
}

/// The numbered files, in order.
fn files(dir: &Path) -> anyhow::Result<Vec<(u32, PathBuf)>> {
    let what = || format!("read directory {}", dir.display());
    let listing = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.with_context(what)?,
    };
    let mut files = Vec::new();
    for entry in listing {
        let path = entry.with_context(what)?.path();
        let stem = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json"));
        let number = stem.and_then(|stem| stem.parse().ok());
        files.extend(number.map(|number| (number, path)));
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> anyhow::Result<Upload> {
    let what = || format!("read {}", path.display());
    let bytes = read_limited(path, COMMIT_MAX)?;
    let Commit { metadata, targets, base } = serde_json::from_slice(&bytes).with_context(what)?;
    let as_bytes = |(name, text): (String, String)| (name, text.into_bytes());
    let upload = Upload {
        metadata: metadata.into_iter().map(as_bytes).collect(),
        targets: targets.into_iter().map(as_bytes).collect(),
        base,
    };
    proposal(&upload).with_context(what)?;
    Ok(upload)
}

fn proposal(change: &Upload) -> anyhow::Result<Proposal> {
    let mut files = BTreeMap::new();
    for (name, bytes) in &change.metadata {
        let role =
            parse(name).and_then(|file| RoleName::ALL.into_iter().find(|role| role.as_str() == file.role));
        let role = role.with_context(|| format!("{name}: expected N.<role>.json"))?;
        if files.insert(role, bytes.clone()).is_some() {
            bail!("{name}: expected one version of each role");
        }
    }
    Proposal::from_files(&files).context("read the signed change")
}

fn parse(name: &str) -> Option<MetadataFile> {
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(files: &[(&str, &str)]) -> Upload {
        let metadata =
            files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
        Upload { metadata, ..Upload::default() }
    }

    fn pending() -> Pending {
        Pending(vec![
            change(&[("2.pins.json", "a")]),
            change(&[("3.pins.json", "b"), ("5.releases.json", "c")]),
        ])
    }

    fn names(pending: &Pending) -> Vec<Vec<&str>> {
        pending.0.iter().map(|entry| entry.metadata.keys().map(String::as_str).collect()).collect()
    }

    #[test]
    fn what_is_in_force_waits_no_more() {
        let at = |pins: u64, text: &'static str| {
            move |role: &str| match role {
                "pins" => Some((pins, Sha256::of(text.as_bytes()))),
                _ => Some((4, Sha256::of(b"x"))),
            }
        };
        assert_eq!(
            names(&pending().unsettled(at(1, "z"))),
            [vec!["2.pins.json"], vec!["3.pins.json", "5.releases.json"]]
        );
        assert_eq!(names(&pending().unsettled(at(2, "a"))), [vec!["3.pins.json", "5.releases.json"]]);
        assert_eq!(names(&pending().unsettled(at(3, "b"))), [vec!["5.releases.json"]]);
        for (pins, text, expected) in [
            (1, "z", Standing::Follows),
            (2, "a", Standing::Follows),
            (2, "other", Standing::Stale),
            (3, "b", Standing::Follows),
            (3, "other", Standing::Stale),
            (4, "z", Standing::Stale),
        ] {
            assert_eq!(pending().standing(at(pins, text)), expected, "{pins} {text}");
        }
        assert_eq!(Pending(vec![change(&[("3.pins.json", "b")])]).standing(at(3, "b")), Standing::Settled);
        assert_eq!(Pending(vec![change(&[("1.pins.json", "b")])]).standing(|_| None), Standing::Follows);
    }

    #[test]
    fn changes_are_kept_in_order_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("pending");
        assert!(Pending::load(&dir).unwrap().is_empty());
        clear(&dir).unwrap();
        push(&dir, &Upload::default()).unwrap();
        fs::rename(dir.join("0001.json"), dir.join("0009.json")).unwrap();
        push(&dir, &Upload::default()).unwrap();
        assert!(dir.join("0010.json").is_file());
        assert_eq!(Pending::load(&dir).unwrap().0.len(), 2);
        for text in [
            "",
            "{}",
            r#"{"metadata":{"1.snapshot.json":"x"},"targets":{}}"#,
            r#"{"metadata":{},"targets":{},"x":1}"#,
        ] {
            fs::write(dir.join("0010.json"), text).unwrap();
            let error = format!("{:#}", Pending::load(&dir).unwrap_err());
            assert!(error.contains("0010.json"), "{error}");
        }
        clear(&dir).unwrap();
        assert!(Pending::load(&dir).unwrap().is_empty());
    }
}

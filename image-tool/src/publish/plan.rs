//! What to send: pure comparison of names.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use fleet_protocol::Names;
use image_format::repository::Upload;
use image_format::{ImageName, Sha256};

use super::{Current, manifest_file};

/// What the other side lacks.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Images whose manifest is not there.
    pub(crate) new_images: BTreeSet<ImageName>,
    /// Metadata and targets to commit. Snapshot and timestamp are always among them, so that a history that forked under the
    /// same version numbers is refused by the other side instead of being taken for equal.
    pub(crate) upload: Upload,
    /// Whether the other side has all of it by name.
    pub(crate) is_current: bool,
}

impl Plan {
    /// Compares. Refuses if the other side is ahead, or has other content under the name of an image.
    pub(crate) fn make(current: &Current, there: &Names, destination: &str) -> anyhow::Result<Self> {
        refuse_newer(current, &there.metadata, destination)?;
        let metadata: BTreeSet<&str> = there.metadata.iter().map(String::as_str).collect();
        let targets: BTreeSet<&str> = there.targets.iter().map(String::as_str).collect();
        let mut new_images = BTreeSet::new();
        for (name, (digest, _)) in &current.images {
            if !targets.contains(manifest_file(name, digest).as_str()) {
                refuse_other_content(name, digest, &there.targets, destination)?;
                new_images.insert(name.clone());
            }
        }
        let absent = |known: &BTreeSet<&str>, files: &BTreeMap<String, Vec<u8>>| {
            let absent = files.iter().filter(|(name, _)| !known.contains(name.as_str()));
            absent.map(|(name, bytes)| (name.clone(), bytes.clone())).collect::<BTreeMap<_, _>>()
        };
        let mut upload = Upload {
            metadata: absent(&metadata, &current.files.metadata),
            targets: absent(&targets, &current.files.targets),
            base: BTreeMap::new(),
        };
        let is_current = upload.metadata.is_empty() && upload.targets.is_empty();
        let moving = current
            .files
            .metadata
            .iter()
            .filter(|(name, _)| matches!(role_of(name), "snapshot" | "timestamp"));
        upload.metadata.extend(moving.map(|(name, bytes)| (name.clone(), bytes.clone())));
        Ok(Self { new_images, upload, is_current })
    }
}

/// Whether `targets` has the manifest of this image.
pub(crate) fn is_listed(targets: &[String], name: &ImageName, digest: &Sha256) -> bool {
    targets.contains(&manifest_file(name, digest))
}

/// `12.pins.json` → (12, pins); `timestamp.json` has no version.
fn split(name: &str) -> Option<(u64, &str)> {
    let (version, rest) = name.split_once('.')?;
    Some((version.parse().ok()?, rest.strip_suffix(".json")?))
}

fn role_of(name: &str) -> &str {
    split(name).map_or_else(|| name.strip_suffix(".json").unwrap_or(name), |(_, role)| role)
}

fn refuse_newer(current: &Current, there: &[String], destination: &str) -> anyhow::Result<()> {
    let mut here: BTreeMap<&str, u64> = BTreeMap::new();
    for (version, role) in current.files.metadata.keys().filter_map(|name| split(name)) {
        let newest = here.entry(role).or_default();
        *newest = version.max(*newest);
    }
    let newer = there
        .iter()
        .filter_map(|name| split(name))
        .find(|(version, role)| here.get(role).is_some_and(|newest| newest < version));
    if let Some((version, role)) = newer {
        bail!(
            "{destination} has newer metadata than this repository: {role} is at version {version} there, {} here; either somebody else signed in between (bring it here with `imgtool pull`, then try again), or it belongs to a repository with another root of trust",
            here[role]
        );
    }
    Ok(())
}

fn refuse_other_content(
    name: &ImageName,
    digest: &Sha256,
    there: &[String],
    destination: &str,
) -> anyhow::Result<()> {
    let ending = format!(".{name}.json");
    let other = there.iter().find_map(|file| file.strip_prefix("images/")?.strip_suffix(&ending));
    if let Some(other) = other {
        bail!(
            "{name} exists at {destination} with other content: expected manifest {digest}, found {other}; a published version never changes, give the new build another version"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current(files: &[&str]) -> Current {
        let metadata = files.iter().map(|name| ((*name).to_owned(), b"{}".to_vec())).collect();
        Current { files: Upload { metadata, ..Upload::default() }, images: BTreeMap::new() }
    }

    fn there(files: &[&str]) -> Names {
        Names { metadata: files.iter().map(|name| (*name).to_owned()).collect(), ..Names::default() }
    }

    const FILES: [&str; 4] = ["1.root.json", "3.pins.json", "4.snapshot.json", "timestamp.json"];

    #[test]
    fn only_what_is_absent_is_sent_and_always_what_moves() {
        let plan = Plan::make(&current(&FILES), &there(&FILES), "d").unwrap();
        assert!(plan.is_current);
        assert_eq!(plan.upload.metadata.keys().collect::<Vec<_>>(), ["4.snapshot.json", "timestamp.json"]);
        let plan = Plan::make(&current(&FILES), &there(&["1.root.json", "2.pins.json"]), "d").unwrap();
        assert!(!plan.is_current);
        assert_eq!(
            plan.upload.metadata.keys().collect::<Vec<_>>(),
            ["3.pins.json", "4.snapshot.json", "timestamp.json"]
        );
    }

    #[test]
    fn newer_metadata_there_is_refused() {
        let error = Plan::make(&current(&FILES), &there(&["4.pins.json"]), "d").unwrap_err().to_string();
        assert!(
            error.contains("pins is at version 4 there, 3 here") && error.contains("imgtool pull"),
            "{error}"
        );
    }

    #[test]
    fn other_content_under_a_name_is_refused() {
        let name: ImageName = "ha@1".parse().unwrap();
        let (a, b) = (Sha256::of(b"a"), Sha256::of(b"b"));
        let file = |digest: &Sha256| vec![format!("images/{digest}.ha@1.json")];
        assert!(is_listed(&file(&a), &name, &a));
        refuse_other_content(&name, &a, &[format!("images/{b}.xha@1.json")], "d").unwrap();
        let error = refuse_other_content(&name, &a, &file(&b), "d").unwrap_err().to_string();
        assert!(error.contains(&a.to_string()) && error.contains(&b.to_string()), "{error}");
    }

    #[test]
    fn names_are_taken_apart() {
        assert_eq!(split("12.pins.json"), Some((12, "pins")));
        assert_eq!(split("timestamp.json"), None);
        assert_eq!(role_of("timestamp.json"), "timestamp");
    }
}

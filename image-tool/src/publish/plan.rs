//! What to send: pure comparison of names and digests.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use fleet_protocol::Names;
use fleet_protocol::publish::RoleFile;
use image_format::repository::{TargetFile, TargetKind, Upload};
use image_format::{ImageName, Sha256};

use super::current::{OFFLINE, is_moving, role_of, split};
use super::{Current, manifest_file};
use crate::destination::CONFLICT_ADVICE;

/// What the other side lacks.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Images whose manifest is not there.
    pub(crate) new_images: BTreeSet<ImageName>,
    /// Images to which there are patches that are not there.
    pub(crate) new_patches: BTreeSet<ImageName>,
    /// Metadata and targets to commit, and what they replace. Snapshot and timestamp are among them if there are any, so that a
    /// history that forked under the same version numbers is refused by the other side instead of being taken for equal.
    pub(crate) upload: Upload,
    /// Whether the other side has all of it.
    pub(crate) is_current: bool,
}

impl Plan {
    /// Compares. Refuses if the other side is ahead, has another content under the name of an image, or metadata that
    /// what is here does not follow from.
    pub(crate) fn make(current: &Current, there: &Names, destination: &str) -> anyhow::Result<Self> {
        refuse_newer(current, there, destination)?;
        let metadata: BTreeSet<&str> = there.metadata.iter().map(String::as_str).collect();
        let targets: BTreeSet<&str> = there.targets.iter().map(String::as_str).collect();
        let mut new_images = BTreeSet::new();
        for (name, (digest, _)) in &current.images {
            if !targets.contains(manifest_file(name, digest).as_str()) {
                refuse_other_content(name, digest, &there.targets, destination)?;
                new_images.insert(name.clone());
            }
        }
        // After the images: that one of them is another one says more.
        refuse_fork(current, there, destination)?;
        let is_lacking = |name: &str| match role_of(name) {
            role if is_moving(role) => !metadata.contains(name),
            // A file that is there by name may be the remains of a commit that was killed.
            role if !there.current.is_empty() => {
                let newest = there.current.get(role).map_or(0, |file| file.version);
                split(name).is_none_or(|(version, _)| version > newest)
            }
            _ => !metadata.contains(name),
        };
        let lacking = current.files.metadata.iter().filter(|(name, _)| is_lacking(name));
        let mut upload = Upload {
            metadata: lacking.map(|(name, bytes)| (name.clone(), bytes.clone())).collect(),
            targets: current.files.targets.clone(),
            base: BTreeMap::new(),
        };
        upload.targets.retain(|name, _| !targets.contains(name.as_str()));
        let is_current = if there.online && !there.current.is_empty() {
            let behind = |role: &str| {
                there.current.get(role).map(|file| file.version)
                    < current.roles.get(role).map(|file| file.version)
            };
            !OFFLINE.into_iter().any(behind) && !behind("snapshot") && !behind("timestamp")
        } else {
            upload.metadata.is_empty() && upload.targets.is_empty()
        };
        upload.base = base(&upload, there);
        let moving = current.files.metadata.iter().filter(|(name, _)| is_moving(role_of(name)));
        upload.metadata.extend(moving.map(|(name, bytes)| (name.clone(), bytes.clone())));
        let new_patches =
            upload.targets.keys().filter_map(|name| match name.parse::<TargetFile>().ok()?.kind {
                TargetKind::Patches(image) => Some(image),
                _ => None,
            });
        Ok(Self { new_images, new_patches: new_patches.collect(), upload, is_current })
    }
}

/// What is there of the roles that are sent.
fn base(upload: &Upload, there: &Names) -> BTreeMap<String, Sha256> {
    let sent: BTreeSet<&str> = upload.metadata.keys().map(|name| role_of(name)).collect();
    let replaced = there.current.iter().filter(|(role, _)| !is_moving(role) && sent.contains(role.as_str()));
    replaced.map(|(role, file)| (role.clone(), file.sha256)).collect()
}

/// Whether `targets` has the manifest of this image.
pub(crate) fn is_listed(targets: &[String], name: &ImageName, digest: &Sha256) -> bool {
    targets.contains(&manifest_file(name, digest))
}

/// Newest versions there; those that a server signs itself do not count.
fn newest(there: &Names) -> BTreeMap<&str, u64> {
    let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
    let current = there.current.iter().map(|(role, file)| (file.version, role.as_str()));
    let named = there.metadata.iter().filter_map(|name| split(name)).filter(|_| there.current.is_empty());
    for (version, role) in current.chain(named) {
        let known = newest.entry(role).or_default();
        *known = version.max(*known);
    }
    newest.retain(|role, _| !(there.online && is_moving(role)));
    newest
}

fn refuse_newer(current: &Current, there: &Names, destination: &str) -> anyhow::Result<()> {
    let here = |role: &str| current.roles.get(role).map(|file| file.version);
    let newer =
        newest(there).into_iter().find(|(role, version)| here(role).is_some_and(|newest| newest < *version));
    if let Some((role, version)) = newer {
        bail!(
            "{destination} has newer metadata than this repository: {role} is at version {version} there, {} here; either somebody else signed in between (bring it here with `imgtool pull`, then try again), or it belongs to a repository with another root of trust",
            here(role).unwrap_or_default()
        );
    }
    Ok(())
}

/// What is there must be one of the versions that were here: else somebody else's change would vanish under ours.
fn refuse_fork(current: &Current, there: &Names, destination: &str) -> anyhow::Result<()> {
    for role in OFFLINE {
        let Some(RoleFile { version, sha256 }) = there.current.get(role) else { continue };
        match current.history.get(&format!("{version}.{role}.json")) {
            Some(known) if known == sha256 => {}
            Some(_) => bail!(
                "conflict: {destination} has other {role} metadata of version {version} than this repository; {CONFLICT_ADVICE}"
            ),
            // A copy that is brought up now and then may have been skipped here.
            None if !there.online => {}
            None => bail!(
                "conflict: {destination} has {role} metadata of version {version}, which this repository never had; {CONFLICT_ADVICE}"
            ),
        }
    }
    Ok(())
}

fn refuse_other_content(
    name: &ImageName,
    digest: &Sha256,
    there: &[String],
    destination: &str,
) -> anyhow::Result<()> {
    let image = TargetKind::Image(name.clone());
    let mut files = there.iter().filter_map(|file| file.parse::<TargetFile>().ok());
    let other = files.find(|file| file.kind == image).map(|file| file.sha256);
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
        let metadata: BTreeMap<_, _> =
            files.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec())).collect();
        let mut current = Current {
            files: Upload::default(),
            images: BTreeMap::new(),
            roles: BTreeMap::new(),
            history: BTreeMap::new(),
        };
        for name in files {
            let (version, role) = split(name).unwrap_or((1, "timestamp"));
            current.roles.insert(role.to_owned(), RoleFile { version, sha256: Sha256::of(name.as_bytes()) });
        }
        current.followed_by(&Upload { metadata, ..Upload::default() })
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
        refuse_other_content(&name, &a, &[format!("images/{b}.@patches.ha@1.json")], "d").unwrap();
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

//! Names of the files below `tuf/`: parsed before any path is made of them.

use std::fmt;
use std::str::FromStr;

use signing::limits::{ROOT_MAX_LEN, SNAPSHOT_MAX_LEN, TARGETS_MAX_LEN, TIMESTAMP_MAX_LEN};

use crate::manifest::MANIFEST_MAX;
use crate::patches::{self, PATCHES_MAX};
use crate::pin::{ASSIGNMENTS_MAX, PIN_MAX};
use crate::{Group, ImageName, Role, Sha256};

/// The file that everything published hangs on.
pub(super) const TIMESTAMP: &str = "timestamp.json";

/// A text that names no file of the repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct FileNameError {
    /// The forms that are allowed.
    pub expected: &'static str,
    /// What was found, cut to 120 characters.
    pub found: String,
}

/// `timestamp.json`, or `N.<role>.json` with N from 1 on without leading zeros.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetadataFile {
    /// The version; none for the timestamp.
    pub version: Option<u64>,
    /// `root`, `targets`, `snapshot`, `timestamp`, or a delegated role.
    pub role: String,
}

impl MetadataFile {
    /// Largest size in bytes.
    pub fn max_len(&self) -> u64 {
        match self.role.as_str() {
            "root" => ROOT_MAX_LEN,
            "snapshot" => SNAPSHOT_MAX_LEN,
            "timestamp" => TIMESTAMP_MAX_LEN,
            _ => TARGETS_MAX_LEN,
        }
    }
}

impl fmt::Display for MetadataFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{version}.{}.json", self.role),
            None => write!(f, "{}.json", self.role),
        }
    }
}

impl FromStr for MetadataFile {
    type Err = FileNameError;

    fn from_str(text: &str) -> Result<Self, FileNameError> {
        let expected = "timestamp.json or N.<role>.json";
        let error = || FileNameError { expected, found: text.chars().take(120).collect() };
        let stem = text.strip_suffix(".json").ok_or_else(error)?;
        if stem == "timestamp" {
            return Ok(Self { version: None, role: stem.to_owned() });
        }
        let (version, role) = stem.split_once('.').ok_or_else(error)?;
        let version: u64 = version.parse().map_err(|_| error())?;
        let role: Role = role.parse().map_err(|_| error())?;
        let file = Self { version: Some(version), role: role.to_string() };
        // One spelling only: no leading zeros, no sign.
        let ok = file.to_string() == text && version > 0 && file.role != "timestamp";
        if ok { Ok(file) } else { Err(error()) }
    }
}

/// What a target file describes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TargetKind {
    /// The manifest of an image.
    Image(ImageName),
    /// The patches to an image.
    Patches(ImageName),
    /// The pin of a group.
    Pin(Group),
    /// The assignments.
    Assignments,
}

/// `images/<sha256>.<role>@<version>.json`, `images/<sha256>.@patches.<role>@<version>.json`, `pins/<sha256>.<group>.json` or
/// `pins/<sha256>.@assignments.json`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetFile {
    /// SHA-256 of the content.
    pub sha256: Sha256,
    /// What it describes.
    pub kind: TargetKind,
}

impl TargetKind {
    /// The kind of a TUF target path (without a digest): `images/ha@1.json`. `None` for any other path.
    pub fn of_path(path: &str) -> Option<Self> {
        let (dir, file) = path.split_once('/')?;
        let stem = file.strip_suffix(".json")?;
        match (dir, stem) {
            ("images", stem) => match stem.strip_prefix(patches::PREFIX) {
                Some(image) => image.parse().ok().map(Self::Patches),
                None => stem.parse().ok().map(Self::Image),
            },
            ("pins", "@assignments") => Some(Self::Assignments),
            ("pins", stem) => stem.parse().ok().map(Self::Pin),
            _ => None,
        }
    }

    /// Largest size in bytes.
    pub fn max_len(&self) -> u64 {
        match self {
            Self::Image(_) => MANIFEST_MAX,
            Self::Patches(_) => PATCHES_MAX,
            Self::Pin(_) => PIN_MAX,
            Self::Assignments => ASSIGNMENTS_MAX,
        }
    }
}

impl TargetFile {
    /// Largest size in bytes.
    pub fn max_len(&self) -> u64 {
        self.kind.max_len()
    }
}

impl fmt::Display for TargetFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sha256 = self.sha256;
        match &self.kind {
            TargetKind::Image(name) => write!(f, "images/{sha256}.{name}.json"),
            TargetKind::Patches(name) => write!(f, "images/{sha256}.{}{name}.json", patches::PREFIX),
            TargetKind::Pin(group) => write!(f, "pins/{sha256}.{group}.json"),
            TargetKind::Assignments => write!(f, "pins/{sha256}.@assignments.json"),
        }
    }
}

impl FromStr for TargetFile {
    type Err = FileNameError;

    fn from_str(text: &str) -> Result<Self, FileNameError> {
        let expected = "images/<sha256>.<role>@<version>.json, images/<sha256>.@patches.<role>@<version>.json, pins/<sha256>.<group>.json or pins/<sha256>.@assignments.json";
        let error = || FileNameError { expected, found: text.chars().take(120).collect() };
        let (dir, file) = text.split_once('/').ok_or_else(error)?;
        let (sha256, rest) = file.split_once('.').ok_or_else(error)?;
        let sha256 = sha256.parse().map_err(|_| error())?;
        let kind = TargetKind::of_path(&format!("{dir}/{rest}")).ok_or_else(error)?;
        Ok(Self { sha256, kind })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MetadataFile, TargetFile, TargetKind};
    use crate::Sha256;

    #[test]
    fn names_round_trip() {
        for name in ["timestamp.json", "1.root.json", "18446744073709551615.releases.json", "7.a.b.json"] {
            assert_eq!(name.parse::<MetadataFile>().unwrap().to_string(), name);
        }
        let sha256 = Sha256::of(b"");
        for kind in [
            TargetKind::Image("ha@1.2".parse().unwrap()),
            TargetKind::Patches("ha@1.2".parse().unwrap()),
            TargetKind::Pin("web".parse().unwrap()),
            TargetKind::Assignments,
        ] {
            let file = TargetFile { sha256, kind };
            assert_eq!(file.to_string().parse::<TargetFile>().unwrap(), file);
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in [
            "",
            "timestamp",
            "1.timestamp.json",
            "root.json",
            "0.root.json",
            "01.root.json",
            "+1.root.json",
            "-1.root.json",
            "18446744073709551616.root.json",
            "1..json",
            "1.Root.json",
            "1.../root.json",
            "1.a/b.json",
            "../1.root.json",
            "1.a..b.json",
            "1.root.json\0",
            "1.root%2e.json",
        ] {
            assert!(name.parse::<MetadataFile>().is_err(), "{name:?}");
        }
        let sha256 = Sha256::of(b"");
        for name in [
            format!("images/{sha256}.ha.json"),
            format!("images/{sha256}.ha@1"),
            format!("images/{sha256}ha@1.json"),
            format!("images/{sha256}.../ha@1.json"),
            format!("images/../pins/{sha256}.web.json"),
            format!("pins/{sha256}.@other.json"),
            format!("pins/{sha256}.@patches.ha@1.json"),
            format!("images/{sha256}.@patches.ha.json"),
            format!("images/{sha256}.@patches.@patches.ha@1.json"),
            format!("images/{sha256}.@other.ha@1.json"),
            format!("pins/{}.web.json", sha256.to_string().to_uppercase()),
            format!("other/{sha256}.web.json"),
            format!("/pins/{sha256}.web.json"),
            format!("pins/{}.web.json", sha256.short()),
            format!("{sha256}.web.json"),
        ] {
            assert!(name.parse::<TargetFile>().is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_has_one_spelling(name in r"(images|pins|tuf)?[./@%a0-9-]{0,20}(@patches.)?[./@%a0-9-]{0,20}(json)?") {
            if let Ok(file) = name.parse::<MetadataFile>() {
                prop_assert_eq!(file.to_string(), name.clone());
                prop_assert!(!name.contains('/'));
            }
            if let Ok(file) = name.parse::<TargetFile>() {
                prop_assert_eq!(file.to_string(), name);
            }
        }
    }
}

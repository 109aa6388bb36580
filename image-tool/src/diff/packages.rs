//! Packages added, removed, with another version.

use std::collections::BTreeMap;

use image_format::manifest::Package;
use serde::Serialize;

use super::Changed;

/// The difference of two package lists.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct PackageDiff {
    /// Only in the second.
    pub(crate) added: Vec<Package>,
    /// Only in the first.
    pub(crate) removed: Vec<Package>,
    /// In both, with other versions.
    pub(crate) changed: Vec<PackageChange>,
}

/// A package in both images.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PackageChange {
    /// Name.
    pub(crate) name: String,
    /// Architecture.
    pub(crate) arch: String,
    /// Versions.
    #[serde(flatten)]
    pub(crate) version: Changed<String>,
}

impl PackageDiff {
    /// Compares by name and architecture.
    pub(crate) fn of(a: &[Package], b: &[Package]) -> Self {
        let by_name = |packages: &[Package]| -> BTreeMap<(String, String), Package> {
            packages.iter().map(|p| ((p.name.clone(), p.arch.clone()), p.clone())).collect()
        };
        let (mut from, to) = (by_name(a), by_name(b));
        let mut diff = Self::default();
        for (key, package) in to {
            match from.remove(&key) {
                None => diff.added.push(package),
                Some(old) => {
                    let version = Changed::of(old.version, package.version);
                    let change = version.map(|version| PackageChange { name: key.0, arch: key.1, version });
                    diff.changed.extend(change);
                }
            }
        }
        diff.removed = from.into_values().collect();
        diff
    }

    /// Whether nothing differs.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str) -> Package {
        Package { name: name.into(), version: version.into(), arch: "amd64".into() }
    }

    #[test]
    fn three_kinds_of_difference() {
        let a = [package("a", "1"), package("b", "1"), package("c", "1")];
        let b = [package("b", "2"), package("c", "1"), package("d", "1")];
        let diff = PackageDiff::of(&a, &b);
        assert_eq!(diff.added, [package("d", "1")]);
        assert_eq!(diff.removed, [package("a", "1")]);
        assert_eq!(diff.changed.len(), 1);
        assert_eq!(diff.changed[0].version, Changed { from: "1".into(), to: "2".into() });
        assert!(PackageDiff::of(&a, &a).is_empty());
    }
}

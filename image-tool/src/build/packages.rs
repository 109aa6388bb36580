//! The list of installed packages, from dpkg's status file.

use anyhow::{Context as _, bail};
use image_format::manifest::Package;

use super::tree::Tree;

/// dpkg's database.
const STATUS: &str = "var/lib/dpkg/status";

/// Installed packages of `tree`, sorted.
pub(crate) fn list(tree: &Tree) -> anyhow::Result<Vec<Package>> {
    let text = tree.read_text(STATUS)?.with_context(|| format!("the root tree has no /{STATUS}"))?;
    parse(&text)
}

fn parse(text: &str) -> anyhow::Result<Vec<Package>> {
    let mut packages = Vec::new();
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let field = |name: &str| {
            let mut lines = paragraph.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim().to_owned())
        };
        let name =
            field("Package").with_context(|| format!("/{STATUS}: a paragraph has no Package field"))?;
        let state = field("Status").unwrap_or_default();
        if !state.ends_with(" installed") {
            // Removed packages whose configuration stays are listed, too; anything else is a failed installation.
            if state.ends_with(" config-files") || state.ends_with(" not-installed") {
                continue;
            }
            bail!("/{STATUS}: package {name} is not installed properly: {state:?}");
        }
        let get = |key: &str| field(key).with_context(|| format!("/{STATUS}: package {name} has no {key}"));
        packages.push(Package { version: get("Version")?, arch: get("Architecture")?, name: name.clone() });
    }
    packages.sort();
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_are_listed_and_sorted() {
        let text = "Package: b\nStatus: install ok installed\nArchitecture: all\nVersion: 1:2-3\n\n\
                    Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
                    Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 9\nDescription: x\n more: y\n";
        let packages = parse(text).unwrap();
        let names: Vec<(&str, &str, &str)> =
            packages.iter().map(|p| (p.name.as_str(), p.version.as_str(), p.arch.as_str())).collect();
        assert_eq!(names, [("a", "9", "amd64"), ("b", "1:2-3", "all")]);
    }

    #[test]
    fn half_installed_packages_stop_the_build() {
        let error = parse("Package: a\nStatus: install ok unpacked\n").unwrap_err().to_string();
        assert!(error.contains("package a is not installed properly"), "{error}");
    }
}

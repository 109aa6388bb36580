//! The installed packages, from dpkg's status file.

use anyhow::{Context as _, bail};
use image_format::manifest::Package;

use super::tree::Tree;

/// dpkg's database.
const STATUS: &str = "var/lib/dpkg/status";

/// An installed package with what dpkg knows of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Installed {
    /// Name, version and architecture.
    pub(crate) package: Package,
    /// Name and version of the source package.
    pub(crate) source: (String, String),
    /// Who maintains it, `Name <address>`.
    pub(crate) maintainer: Option<String>,
    /// Its project's page.
    pub(crate) homepage: Option<String>,
    /// The first line of its description.
    pub(crate) summary: Option<String>,
    /// Packages that it needs, alternatives within: `Pre-Depends` and `Depends` without versions.
    pub(crate) depends: Vec<Vec<String>>,
    /// Other names that it satisfies dependencies by.
    pub(crate) provides: Vec<String>,
}

/// Installed packages of `tree`, sorted.
pub(crate) fn list(tree: &Tree) -> anyhow::Result<Vec<Installed>> {
    let text = tree.read_text(STATUS)?.with_context(|| format!("the root tree has no /{STATUS}"))?;
    parse(&text)
}

/// The installed packages of a status file.
pub(crate) fn parse(text: &str) -> anyhow::Result<Vec<Installed>> {
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
        let package = Package { version: get("Version")?, arch: get("Architecture")?, name: name.clone() };
        let relations = |key: &str| relations(&field(key).unwrap_or_default());
        packages.push(Installed {
            source: source(field("Source"), &package),
            maintainer: field("Maintainer"),
            homepage: field("Homepage"),
            summary: field("Description"),
            depends: relations("Pre-Depends").chain(relations("Depends")).collect(),
            provides: relations("Provides").flatten().collect(),
            package,
        });
    }
    packages.sort();
    Ok(packages)
}

/// `Source: name (version)`: what does not stand there is as in the binary package (Debian policy 5.6.1).
fn source(field: Option<String>, package: &Package) -> (String, String) {
    let field = field.unwrap_or_default();
    let mut words = field.split(' ');
    let name = words.next().filter(|name| !name.is_empty()).unwrap_or(&package.name);
    let version = words.next().map_or(package.version.as_str(), |word| word.trim_matches(['(', ')']));
    (name.to_owned(), version.to_owned())
}

/// Names of a relationship field (Debian policy 7.1), without versions and architectures.
fn relations(field: &str) -> impl Iterator<Item = Vec<String>> + use<> {
    let name = |alternative: &str| {
        let end = alternative.trim().find([' ', ':', '(', '[']);
        alternative.trim()[..end.unwrap_or(alternative.trim().len())].to_owned()
    };
    let groups: Vec<Vec<String>> = field
        .split(',')
        .filter(|group| !group.trim().is_empty())
        .map(|group| group.split('|').map(name).collect())
        .collect();
    groups.into_iter()
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
        let names: Vec<(&str, &str, &str)> = packages
            .iter()
            .map(|Installed { package: p, .. }| (p.name.as_str(), p.version.as_str(), p.arch.as_str()))
            .collect();
        assert_eq!(names, [("a", "9", "amd64"), ("b", "1:2-3", "all")]);
        assert_eq!(packages[0].source, ("a".into(), "9".into()));
        assert_eq!(packages[0].summary.as_deref(), Some("x"));
    }

    #[test]
    fn sources_and_relations_are_read() {
        let text = "Package: libc6\nStatus: install ok installed\nSource: glibc (2.36-9)\nArchitecture: amd64\nVersion: 2.36-9+b1\n\
                    Pre-Depends: a\nDepends: libgcc-s1 (>= 3.5), mta | exim4:any (= 1) [amd64],\nProvides: libc (= 1), x\n";
        let found = parse(text).unwrap().remove(0);
        assert_eq!(found.source, ("glibc".into(), "2.36-9".into()));
        assert_eq!(found.depends, [vec!["a"], vec!["libgcc-s1"], vec!["mta", "exim4"]]);
        assert_eq!(found.provides, ["libc", "x"]);
    }

    #[test]
    fn half_installed_packages_stop_the_build() {
        let error = parse("Package: a\nStatus: install ok unpacked\n").unwrap_err().to_string();
        assert!(error.contains("package a is not installed properly"), "{error}");
    }
}

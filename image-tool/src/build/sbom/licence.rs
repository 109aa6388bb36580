//! License expressions from machine-readable copyright files (DEP-5, Debian's copyright format 1.0).

use std::collections::{BTreeMap, BTreeSet};

use image_format::Sha256;

/// How the format is announced, in the first paragraph.
const FORMATS: [&str; 2] = ["copyright-format/1.0", "/dep5"];
/// Longest name of a license that is kept as it is.
const NAME_MAX: usize = 64;

/// An SPDX license expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expression {
    /// The expression.
    pub(super) text: String,
    /// Licenses in it that SPDX has no name for: reference and Debian's name.
    pub(super) references: BTreeMap<String, String>,
}

/// All licenses that the file names, joined by AND; none when the file is prose.
pub(super) fn read(copyright: &str) -> Option<Expression> {
    let mut paragraphs = copyright.split("\n\n");
    let header = paragraphs.next()?;
    let format = header.lines().find_map(|line| line.strip_prefix("Format:"))?;
    if !FORMATS.iter().any(|known| format.contains(known)) {
        return None;
    }
    let mut references = BTreeMap::new();
    let mut terms = BTreeSet::new();
    for paragraph in std::iter::once(header).chain(paragraphs) {
        let field = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(name));
        // Paragraphs without files hold texts of licenses that the others name.
        if paragraph != header && field("Files:").is_none() {
            continue;
        }
        if let Some(synopsis) = field("License:").map(str::trim).filter(|text| !text.is_empty()) {
            terms.insert(expression(synopsis, &mut references));
        }
    }
    if terms.is_empty() {
        return None;
    }
    let single = terms.len() == 1;
    let term = |term: String| if !single && term.contains(" OR ") { format!("({term})") } else { term };
    let text = terms.into_iter().map(term).collect::<Vec<_>>().join(" AND ");
    Some(Expression { text, references })
}

/// `A and B or C`: in both notations "and" binds closer. What has commas or exceptions is one license of its own.
fn expression(synopsis: &str, references: &mut BTreeMap<String, String>) -> String {
    let words = synopsis.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.contains(',') || words.contains(" with ") {
        return reference(&words, references);
    }
    let any = words.split(" or ").map(|all| {
        let all = all.split(" and ").map(|name| spdx(name).unwrap_or_else(|| reference(name, references)));
        all.collect::<Vec<_>>().join(" AND ")
    });
    any.collect::<Vec<_>>().join(" OR ")
}

fn reference(name: &str, references: &mut BTreeMap<String, String>) -> String {
    let plain = name.len() <= NAME_MAX;
    let suffix = if plain { super::escape(name) } else { Sha256::of(name.as_bytes()).short() };
    let id = format!("LicenseRef-Debian-{suffix}");
    references.insert(id.clone(), name.to_owned());
    id
}

/// SPDX's name for Debian's, where both mean the same text.
fn spdx(name: &str) -> Option<String> {
    let same = [
        ("Expat", "MIT"),
        ("X11", "X11"),
        ("ISC", "ISC"),
        ("Zlib", "Zlib"),
        ("zlib", "Zlib"),
        ("BSD-2-clause", "BSD-2-Clause"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("BSD-4-clause", "BSD-4-Clause"),
        ("0BSD", "0BSD"),
        ("Apache-2.0", "Apache-2.0"),
        ("Artistic-2.0", "Artistic-2.0"),
        ("MPL-1.1", "MPL-1.1"),
        ("MPL-2.0", "MPL-2.0"),
        ("CC0-1.0", "CC0-1.0"),
        ("CC-BY-3.0", "CC-BY-3.0"),
        ("CC-BY-4.0", "CC-BY-4.0"),
        ("CC-BY-SA-3.0", "CC-BY-SA-3.0"),
        ("CC-BY-SA-4.0", "CC-BY-SA-4.0"),
        ("BSL-1.0", "BSL-1.0"),
        ("curl", "curl"),
        ("Unlicense", "Unlicense"),
        ("CDDL-1.0", "CDDL-1.0"),
    ];
    if let Some((_, spdx)) = same.iter().find(|(debian, _)| *debian == name) {
        return Some((*spdx).to_owned());
    }
    // GPL-2+, LGPL-2.1, GFDL-1.3+: the GNU family says "or later" by a plus.
    let (name, later) = name.strip_suffix('+').map_or((name, false), |name| (name, true));
    let (family, version) = name.rsplit_once('-')?;
    let version = if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
    let known = match family {
        "GPL" => ["1.0", "2.0", "3.0"].contains(&version.as_str()),
        "LGPL" => ["2.0", "2.1", "3.0"].contains(&version.as_str()),
        "AGPL" => version == "3.0",
        "GFDL" => ["1.1", "1.2", "1.3"].contains(&version.as_str()),
        "GFDL-NIV" => ["1.1", "1.2", "1.3"].contains(&version.as_str()),
        _ => false,
    };
    let suffix = if later { "or-later" } else { "only" };
    let name = match family {
        "GFDL-NIV" => format!("GFDL-{version}-no-invariants-{suffix}"),
        _ => format!("{family}-{version}-{suffix}"),
    };
    known.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(licences: &[&str]) -> Expression {
        let mut text =
            "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n".to_owned();
        for licence in licences {
            text += &format!("\nFiles: *\nCopyright: X\nLicense: {licence}\n text\n");
        }
        text += "\nLicense: text-of-another\n words\n";
        read(&text).unwrap()
    }

    #[test]
    fn debians_names_become_spdx_expressions() {
        for (licences, expected) in [
            (&["GPL-2+"][..], "GPL-2.0-or-later"),
            (&["LGPL-2.1", "Expat"], "LGPL-2.1-only AND MIT"),
            (&["GPL-1+ or Artistic-2.0", "ISC"], "(GPL-1.0-or-later OR Artistic-2.0) AND ISC"),
            (&["GPL-3+ and BSD-3-clause"], "GPL-3.0-or-later AND BSD-3-Clause"),
            (&["GFDL-NIV-1.3+"], "GFDL-1.3-no-invariants-or-later"),
            (&["GPL-9"], "LicenseRef-Debian-GPL-9"),
            (&["public-domain"], "LicenseRef-Debian-public-domain"),
            (&["GPL-2+ with OpenSSL exception"], "LicenseRef-Debian-GPL-2-2B-20with-20OpenSSL-20exception"),
        ] {
            assert_eq!(of(licences).text, expected);
        }
        let other = of(&["GPL-2", "public-domain"]);
        assert_eq!(other.references.len(), 1);
        assert_eq!(other.references["LicenseRef-Debian-public-domain"], "public-domain");
    }

    #[test]
    fn prose_says_nothing() {
        assert_eq!(read("This package was debianized by X.\n\nLicense: GPL\n"), None);
        assert_eq!(read(""), None);
        assert_eq!(
            read("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"),
            None
        );
    }
}

//! Delegations: which other role may name which target paths.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::signers::check_keys;
use super::{Extra, Signers};
use crate::error::TrustError;
use crate::hex;
use crate::key::{Key, KeyId};
use crate::limits::MAX_ROLE_NAME_LEN;

const TOP_LEVEL: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];

/// The delegations of one targets role, in order of priority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegations {
    /// The keys that the roles refer to.
    pub keys: BTreeMap<KeyId, Key>,
    /// First match first.
    pub roles: Vec<Delegation>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One delegated role. It has either `paths` or `path_hash_prefixes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// Name of the role; its file is `N.<name>.json`.
    pub name: String,
    /// Who signs for it.
    #[serde(flatten)]
    pub signers: Signers,
    /// Whether the search ends here for a path that this delegation matches.
    #[serde(default)]
    pub terminating: bool,
    /// Patterns with `*` and `?`, neither of which matches `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Prefixes of the lower-case hex SHA-256 of a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hash_prefixes: Option<Vec<String>>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Delegation {
    /// Whether this role may speak about `path` at all.
    pub fn covers(&self, path: &str) -> bool {
        let by_pattern = |patterns: &Vec<String>| patterns.iter().any(|pattern| matches_path(pattern, path));
        let by_hash = |prefixes: &Vec<String>| {
            let digest = hex::encode(&Sha256::digest(path));
            prefixes.iter().any(|prefix| digest.starts_with(prefix.as_str()))
        };
        self.paths.as_ref().is_some_and(by_pattern) || self.path_hash_prefixes.as_ref().is_some_and(by_hash)
    }
}

impl Delegations {
    pub(crate) fn check(&self, delegator: &str) -> Result<(), TrustError> {
        let malformed = |reason: String| Err(TrustError::malformed(delegator, reason));
        let mut names = BTreeSet::new();
        for Delegation { name, signers, paths, path_hash_prefixes, .. } in &self.roles {
            if name.is_empty() || name.len() > MAX_ROLE_NAME_LEN {
                return malformed(format!("a delegated role's name is {} bytes long", name.len()));
            }
            if TOP_LEVEL.contains(&name.as_str()) {
                return malformed(format!("delegates to the top-level role {name:?}"));
            }
            if !names.insert(name) {
                return malformed(format!("delegates twice to {name:?}"));
            }
            if paths.is_some() == path_hash_prefixes.is_some() {
                return malformed(format!("delegation to {name:?} needs either paths or path_hash_prefixes"));
            }
            signers.check(delegator)?;
        }
        check_keys(delegator, &self.keys)
    }
}

/// Both have the same number of `/`-separated segments, and every segment matches.
fn matches_path(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut segments) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), segments.next()) {
            (None, None) => return true,
            (Some(pattern), Some(segment)) if matches_segment(pattern, segment) => {}
            _ => return false,
        }
    }
}

/// Linear-space matcher that retries only the last `*`: at most `pattern × segment` steps, whatever the pattern.
fn matches_segment(pattern: &str, segment: &str) -> bool {
    let (pattern, segment): (Vec<char>, Vec<char>) = (pattern.chars().collect(), segment.chars().collect());
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < segment.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, seen));
            at += 1;
        } else if at < pattern.len() && (pattern[at] == '?' || pattern[at] == segment[seen]) {
            at += 1;
            seen += 1;
        } else if let Some((star_at, taken)) = star {
            star = Some((star_at, taken + 1));
            at = star_at + 1;
            seen = taken + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|character| *character == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{matches_path, matches_segment};

    #[test]
    fn stars_stay_inside_a_segment() {
        for (pattern, path) in [
            ("images/*", "images/ha@1.json"),
            ("images/*", "images/"),
            ("*", "floor"),
            ("a?c/*.json", "abc/x.json"),
            ("**x*", "aaxbb"),
            ("", ""),
            ("?", "é"),
        ] {
            assert!(matches_path(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("images/*", "images/a/b"),
            ("images/*", "images"),
            ("images/*", "pins/x"),
            ("images/*", "/images/x"),
            ("*", "images/x"),
            ("images?x", "images/x"),
            ("a?c", "ac"),
            ("*.json", "x.jso"),
            ("[a]", "a"),
            ("images/*", "IMAGES/x"),
        ] {
            assert!(!matches_path(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn many_stars_end_quickly() {
        let pattern = "*a".repeat(5_000) + "b";
        assert!(!matches_segment(&pattern, &"a".repeat(10_000)));
    }

    proptest! {
        #[test]
        fn agrees_with_the_obvious_definition(pattern in "[ab*?]{0,8}", segment in "[ab]{0,8}") {
            fn obvious(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern.split_first(), text.split_first()) {
                    (None, _) => text.is_empty(),
                    (Some((b'*', rest)), _) => (0..=text.len()).any(|skip| obvious(rest, &text[skip..])),
                    (Some((b'?', rest)), Some((_, tail))) => obvious(rest, tail),
                    (Some((one, rest)), Some((first, tail))) => one == first && obvious(rest, tail),
                    (Some(_), None) => false,
                }
            }
            prop_assert_eq!(matches_segment(&pattern, &segment), obvious(pattern.as_bytes(), segment.as_bytes()));
        }
    }
}

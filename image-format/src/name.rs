//! Names that people give: roles, versions, groups, nodes. One validation behind `FromStr` and serde.
//!
//! A name is `[a-z0-9][a-z0-9._-]{0,63}`: it is safe in a path, in a URL, on a kernel command line and in a shell.

use std::fmt;
use std::str::FromStr;

use crate::by_text::serde_by_text;

/// A text that is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Outside `[a-z0-9][a-z0-9._-]{0,63}`.
    #[error("{what}: expected 1 to 64 of a-z 0-9 . _ - beginning with a letter or digit, found {found:?}")]
    Invalid {
        /// What kind of name.
        what: &'static str,
        /// What was found, cut to 80 characters.
        found: String,
    },
    /// No `@` between role and version.
    #[error("image name: expected ROLE@VERSION, found {found:?}")]
    NoVersion {
        /// What was found, cut to 80 characters.
        found: String,
    },
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= 64
        && bytes.first().is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit())
        && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
        && !text.contains("..")
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if is_name(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError::Invalid { what: $what, found: cut(text) })
                }
            }
        }

        serde_by_text!($name);
    };
}

name! {
    /// What kind of node an image makes: `base`, `ha`, …
    Role, "role"
}
name! {
    /// The version of an image within its role. Order is by release counter, never by this text.
    Version, "version"
}
name! {
    /// A named set of nodes that follow one pin.
    Group, "group"
}
name! {
    /// A node: the MAC address it boots from, written `52-54-00-12-34-56`, or a name given at import.
    NodeId, "node"
}

/// `role@version`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageName {
    /// The role.
    pub role: Role,
    /// The version within the role.
    pub version: Version,
}

impl ImageName {
    /// The TUF target path of this image's manifest, `images/role@version.json`.
    pub fn target_path(&self) -> String {
        format!("images/{self}.json")
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}@{}", self.role, self.version))
    }
}

impl FromStr for ImageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (role, version) =
            text.split_once('@').ok_or_else(|| NameError::NoVersion { found: cut(text) })?;
        Ok(Self { role: role.parse()?, version: version.parse()? })
    }
}

serde_by_text!(ImageName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names_round_trip() {
        let name: ImageName = "ha@1.2-rc1".parse().unwrap();
        assert_eq!((name.role.as_str(), name.version.as_str()), ("ha", "1.2-rc1"));
        assert_eq!(name.to_string(), "ha@1.2-rc1");
        assert_eq!(name.target_path(), "images/ha@1.2-rc1.json");
    }

    #[test]
    fn hostile_names_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a\\b",
            "A",
            "-a",
            "a b",
            "a%2e",
            "a\0",
            "é",
            "a..b",
            &"a".repeat(65),
        ] {
            assert!(bad.parse::<Role>().is_err(), "{bad:?}");
            assert!(format!("ha@{bad}").parse::<ImageName>().is_err(), "{bad:?}");
        }
        assert!("ha".parse::<ImageName>().is_err());
        assert!("ha@1@2".parse::<ImageName>().is_err());
    }
}

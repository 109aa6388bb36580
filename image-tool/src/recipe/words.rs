//! The words of a recipe. Each checks itself while it is read, so that an error carries the line it stands in.

use std::fmt;
use std::marker::PhantomData;

use image_format::manifest::provenance::{REASON_MAX, is_file_path};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// Reads a word and checks it within the reader, which then knows the place of an error even in a list.
struct Word<T>(PhantomData<T>);

impl<T: TryFrom<String, Error = String>> Visitor<'_> for Word<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::try_from(text.to_owned()).map_err(E::custom)
    }
}

macro_rules! read_as_word {
    ($name:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Word(PhantomData))
            }
        }
    };
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) struct $name(pub(super) String);

        read_as_word!($name);

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) {
                    Ok(Self(text))
                } else {
                    let found: String = text.chars().take(80).collect();
                    Err(format!(concat!("expected ", $expected, ", found {:?}"), found))
                }
            }
        }
    };
}

fn all(text: &str, extra: &[u8], max: usize) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || extra.contains(&b);
    (1..=max).contains(&text.len()) && text.bytes().all(allowed) && text.as_bytes()[0].is_ascii_alphanumeric()
}

word! {
    /// A Debian package name (Debian policy 5.6.1).
    PackageName, "a Debian package name (a-z 0-9 + . -)",
    |text| all(text, b"+.-", 128) && text.len() > 1 && !text.bytes().any(|b| b.is_ascii_uppercase())
}
word! {
    /// A Debian suite or archive area.
    ArchiveName, "a Debian suite or component (a-z 0-9 . -)",
    |text| all(text, b".-", 64) && !text.bytes().any(|b| b.is_ascii_uppercase())
}
word! {
    /// Base URL of an archive.
    Mirror, "a URL that begins with http:// or https://",
    |text| text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).is_some_and(|rest| !rest.is_empty())
        && text.len() <= 512 && text.bytes().all(|b| b.is_ascii_graphic()) && !text.contains(['[', ']'])
}
word! {
    /// Name of a kernel module.
    DriverName, "the name of a kernel module (letters, digits, - and _)",
    |text| all(text, b"_-", 64)
}
word! {
    /// Name of a systemd unit.
    UnitName, "a unit name with its suffix, such as ssh.service",
    |text| all(text, b"@._-:\\", 255) && text.rsplit_once('.').is_some_and(|(_, suffix)| UNIT_SUFFIXES.contains(&suffix))
}
word! {
    /// Path of one file in the root.
    FilePath, "the absolute path of one file, without . and .. and patterns",
    |text| is_file_path(text) && !text.contains(['*', '?', '['])
}
word! {
    /// Why something is allowed, for people.
    Reason, "a reason of 1 to 300 bytes in one line",
    |text| text.len() <= REASON_MAX && !text.trim().is_empty() && !text.chars().any(char::is_control)
}
word! {
    /// Hardware class.
    Class, "1 to 64 of a-z 0-9 . _ -",
    |text| all(text, b"._-", 64) && !text.bytes().any(|b| b.is_ascii_uppercase())
}

/// Checks the base URL of an archive, for the command line.
pub(crate) fn mirror(text: &str) -> Result<String, String> {
    Mirror::try_from(text.to_owned()).map(|mirror| mirror.0)
}

const UNIT_SUFFIXES: [&str; 7] = ["service", "socket", "target", "timer", "mount", "path", "slice"];

/// Paths of the root, absolute, with `*`, `?`, `[…]` within one name and `**` for any number of them.
#[derive(Debug, Clone)]
pub(crate) struct Glob(glob::Pattern);

impl Glob {
    /// Whether `path` (relative to the root, without a leading `/`) matches.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: false,
        };
        self.0.matches_with(path, options)
    }
}

read_as_word!(Glob);

impl TryFrom<String> for Glob {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let Some(relative) = text.strip_prefix('/').filter(|rest| !rest.is_empty() && !rest.contains(".."))
        else {
            return Err(format!("expected an absolute path pattern without .., found {text:?}"));
        };
        glob::Pattern::new(relative)
            .map(Self)
            .map_err(|error| format!("expected a path pattern, found {text:?}: {error}"))
    }
}

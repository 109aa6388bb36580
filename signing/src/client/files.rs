//! The files that a client keeps between refreshes.

use std::collections::BTreeMap;

use serde::de::Deserializer;
use serde::ser::{self, Serializer};
use serde::{Deserialize, Serialize};

/// Verified files, byte for byte as received; all are UTF-8. Serialises with every file as one string.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedFiles {
    /// The newest trusted root, or the embedded one at first.
    pub root: Vec<u8>,
    /// The timestamp of the last refresh.
    pub timestamp: Option<Vec<u8>>,
    /// The snapshot of the last refresh.
    pub snapshot: Option<Vec<u8>>,
    /// The top-level targets.
    pub targets: Option<Vec<u8>>,
    /// Delegated roles by their plain name (`releases`).
    pub delegated: BTreeMap<String, Vec<u8>>,
}

impl TrustedFiles {
    /// Only a root: the state of a client that never refreshed.
    pub fn from_root(root: impl Into<Vec<u8>>) -> Self {
        Self { root: root.into(), ..Self::default() }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "TrustedFiles", deny_unknown_fields)]
struct Text<T: Ord> {
    root: T,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    timestamp: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    snapshot: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    targets: Option<T>,
    #[serde(default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    delegated: BTreeMap<String, T>,
}

fn none<T>() -> Option<T> {
    None
}

impl Serialize for TrustedFiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn text<E: ser::Error>(bytes: &[u8]) -> Result<&str, E> {
            std::str::from_utf8(bytes).map_err(E::custom)
        }
        let delegated = self.delegated.iter().map(|(role, file)| Ok((role.clone(), text(file)?)));
        Text {
            root: text(&self.root)?,
            timestamp: self.timestamp.as_deref().map(text).transpose()?,
            snapshot: self.snapshot.as_deref().map(text).transpose()?,
            targets: self.targets.as_deref().map(text).transpose()?,
            delegated: delegated.collect::<Result<_, _>>()?,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TrustedFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::<String>::deserialize(deserializer)?;
        Ok(Self {
            root: text.root.into_bytes(),
            timestamp: text.timestamp.map(String::into_bytes),
            snapshot: text.snapshot.map(String::into_bytes),
            targets: text.targets.map(String::into_bytes),
            delegated: text.delegated.into_iter().map(|(role, file)| (role, file.into_bytes())).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::TrustedFiles;

    #[test]
    fn text_form_round_trips() {
        let mut files = TrustedFiles::from_root("{}\n");
        assert_eq!(serde_json::to_string(&files).unwrap(), r#"{"root":"{}\n"}"#);
        files.timestamp = Some("é".into());
        files.delegated.insert("releases".into(), b"x".to_vec());
        let text = serde_json::to_string(&files).unwrap();
        assert_eq!(serde_json::from_str::<TrustedFiles>(&text).unwrap(), files);
        files.snapshot = Some(vec![0xff]);
        assert!(serde_json::to_string(&files).is_err());
        assert!(serde_json::from_str::<TrustedFiles>(r#"{"root":"","other":""}"#).is_err());
    }
}

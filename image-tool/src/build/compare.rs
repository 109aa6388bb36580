//! Which files differ between two images, from their file lists.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::files::FileEntry;

/// Most files named.
const NAMED_MAX: usize = 20;

/// Differences of two file lists.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Differences {
    /// Only in the new one.
    pub(crate) added: Vec<String>,
    /// Only in the old one.
    pub(crate) removed: Vec<String>,
    /// In both, with other content or metadata: path, and which properties differ.
    pub(crate) changed: Vec<String>,
}

impl Differences {
    /// Compares `old` and `new`.
    pub(crate) fn of(old: &[FileEntry], new: &[FileEntry]) -> Self {
        let by_path = |list: &[FileEntry]| -> BTreeMap<String, FileEntry> {
            list.iter().map(|entry| (entry.path.clone(), entry.clone())).collect()
        };
        let (old, new) = (by_path(old), by_path(new));
        let mut differences = Self::default();
        for path in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            match (old.get(path), new.get(path)) {
                (None, Some(_)) => differences.added.push(path.clone()),
                (Some(_), None) => differences.removed.push(path.clone()),
                (Some(a), Some(b)) if a != b => {
                    differences.changed.push(format!("{path} ({})", properties(a, b).join(", ")));
                }
                _ => {}
            }
        }
        differences
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn properties(a: &FileEntry, b: &FileEntry) -> Vec<&'static str> {
    let all = [
        ("type", a.file_type != b.file_type),
        ("content", a.blake3 != b.blake3 || a.size != b.size),
        ("target", a.target != b.target),
        ("mode", a.mode != b.mode),
        ("owner", (a.uid, a.gid) != (b.uid, b.gid)),
        ("date", a.mtime != b.mtime),
        ("extended attributes", a.xattrs != b.xattrs),
    ];
    all.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no file differs");
        }
        let lists = [("added", &self.added), ("removed", &self.removed), ("changed", &self.changed)];
        let texts: Vec<String> = lists
            .into_iter()
            .filter(|(_, paths)| !paths.is_empty())
            .map(|(what, paths)| {
                let shown = paths.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
                let more = paths.len().saturating_sub(NAMED_MAX);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("{what}: {shown}{more}")
            })
            .collect();
        f.write_str(&texts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::FileType;
    use super::*;

    fn file(path: &str, blake3: &str) -> FileEntry {
        FileEntry {
            path: path.into(),
            file_type: FileType::File,
            mode: "0644".into(),
            uid: 0,
            gid: 0,
            mtime: 1,
            size: Some(1),
            blake3: Some(blake3.into()),
            target: None,
            xattrs: Vec::new(),
        }
    }

    #[test]
    fn each_difference_is_named() {
        let old = [file("/a", "1"), file("/b", "1"), file("/c", "1")];
        let mut moved = file("/c", "2");
        moved.mode = "0600".into();
        let new = [file("/b", "1"), moved, file("/d", "1")];
        let text = Differences::of(&old, &new).to_string();
        assert_eq!(text, "added: /d; removed: /a; changed: /c (content, mode)");
        assert_eq!(Differences::of(&old, &old).to_string(), "no file differs");
    }
}

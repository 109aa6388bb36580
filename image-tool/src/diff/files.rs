//! Files added, removed, changed; dates alone do not count.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::build::files::FileEntry;

/// The difference of two file lists, each in order of path.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct FileDiff {
    /// Only in the second.
    pub(crate) added: Vec<FileChange>,
    /// Only in the first.
    pub(crate) removed: Vec<FileChange>,
    /// In both, with other content, kind, mode, owner or attributes.
    pub(crate) changed: Vec<FileChange>,
    /// In both, differing in their date only.
    pub(crate) dates_only: usize,
}

/// A path that differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FileChange {
    /// Absolute path.
    pub(crate) path: String,
    /// Size in bytes in the second image, or in the first if it is only there; 0 for all but regular files.
    pub(crate) size: u64,
    /// What differs; empty for added and removed files.
    pub(crate) what: Vec<&'static str>,
}

impl FileDiff {
    /// Compares by path.
    pub(crate) fn of(a: Vec<FileEntry>, b: Vec<FileEntry>) -> Self {
        let mut from: BTreeMap<String, FileEntry> =
            a.into_iter().map(|file| (file.path.clone(), file)).collect();
        let mut diff = Self::default();
        for file in b {
            match from.remove(&file.path) {
                None => diff.added.push(change(&file, Vec::new())),
                Some(old) => match differences(&old, &file) {
                    what if !what.is_empty() => diff.changed.push(change(&file, what)),
                    _ => diff.dates_only += usize::from(old.mtime != file.mtime),
                },
            }
        }
        diff.removed = from.into_values().map(|file| change(&file, Vec::new())).collect();
        diff.added.sort_by(|a, b| a.path.cmp(&b.path));
        diff.changed.sort_by(|a, b| a.path.cmp(&b.path));
        diff
    }
}

fn change(file: &FileEntry, what: Vec<&'static str>) -> FileChange {
    FileChange { path: file.path.clone(), size: file.size.unwrap_or(0), what }
}

fn differences(a: &FileEntry, b: &FileEntry) -> Vec<&'static str> {
    let checks = [
        ("type", a.file_type != b.file_type),
        ("content", (a.size, &a.blake3) != (b.size, &b.blake3)),
        ("target", a.target != b.target),
        ("mode", a.mode != b.mode),
        ("owner", (a.uid, a.gid) != (b.uid, b.gid)),
        ("attributes", a.xattrs != b.xattrs),
    ];
    checks.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, mode: &str, digest: &str, mtime: u64) -> FileEntry {
        let json = format!(
            r#"{{"path":"{path}","type":"file","mode":"{mode}","uid":0,"gid":0,"mtime":{mtime},"size":3,"blake3":"{digest}"}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn what_differs_is_named_and_dates_are_not() {
        let a = vec![file("/a", "0644", "x", 1), file("/b", "0644", "x", 1), file("/c", "0644", "x", 1)];
        let b = vec![file("/d", "0644", "x", 1), file("/b", "0755", "y", 1), file("/c", "0644", "x", 2)];
        let diff = FileDiff::of(a, b);
        let paths =
            |changes: &[FileChange]| changes.iter().map(|change| change.path.clone()).collect::<Vec<_>>();
        assert_eq!(paths(&diff.added), ["/d"]);
        assert_eq!(paths(&diff.removed), ["/a"]);
        assert_eq!(paths(&diff.changed), ["/b"]);
        assert_eq!(diff.changed[0].what, ["content", "mode"]);
        assert_eq!(diff.dates_only, 1);
    }
}

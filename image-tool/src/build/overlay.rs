//! Copies overlay directories over the root tree.
//!
//! Everything belongs to root:root. Modes are what git keeps: 0755 for directories and executable files, else 0644. A
//! directory that the tree has already stays as it is. Empty directories cannot be kept in git: systemd-tmpfiles makes those.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use image_format::Sha256;

use super::tree::{Content, FILE_MAX, Kind, Node, Tree};

/// Copies the files below `dir` to the root of `tree` with the date `epoch`.
///
/// Returns a line for each of them: path below `dir`, mode, and the digest of its content or its target.
pub(crate) fn apply(tree: &mut Tree, dir: &Path, epoch: u64) -> anyhow::Result<String> {
    let mut applied = String::new();
    apply_below(tree, dir, "", "", epoch, &mut applied)?;
    Ok(applied)
}

fn apply_below(
    tree: &mut Tree,
    dir: &Path,
    source: &str,
    target: &str,
    epoch: u64,
    applied: &mut String,
) -> anyhow::Result<()> {
    let real = tree.make_dirs(target, epoch).with_context(|| format!("overlay {}", dir.display()))?;
    let read = || format!("read overlay {}", dir.display());
    let mut entries: Vec<_> =
        fs::read_dir(dir).with_context(read)?.collect::<Result<_, _>>().with_context(read)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name().into_string();
        let name =
            name.map_err(|name| anyhow::anyhow!("overlay {}: {name:?} is not UTF-8", dir.display()))?;
        let source = super::tree::join(source, &name);
        let target = super::tree::join(&real, &name);
        let node = node(&path, epoch).with_context(|| format!("overlay {}", path.display()))?;
        match node {
            None => apply_below(tree, &path, &source, &target, epoch, applied)?,
            Some(node) => {
                *applied += &line(&source, &node);
                tree.insert(&target, node).with_context(|| format!("overlay {}", path.display()))?;
            }
        }
    }
    Ok(())
}

/// What is put where, quoted so that no name can look like another line.
fn line(source: &str, node: &Node) -> String {
    let what = match &node.kind {
        Kind::File(Content::Bytes(bytes)) => Sha256::of(bytes).to_string(),
        Kind::Symlink(target) => format!("{target:?}"),
        other => format!("{other:?}"),
    };
    format!("{source:?} {:04o} {what}\n", node.mode)
}

/// The node for a file or link; none for a directory.
fn node(path: &Path, epoch: u64) -> anyhow::Result<Option<Node>> {
    let found = fs::symlink_metadata(path)?;
    let file_type = found.file_type();
    if file_type.is_dir() {
        return Ok(None);
    }
    if file_type.is_symlink() {
        let target = fs::read_link(path)?.into_os_string().into_string();
        let target = target.map_err(|target| anyhow::anyhow!("link target {target:?} is not UTF-8"))?;
        return Ok(Some(Node::new(Kind::Symlink(target), 0o777, epoch)));
    }
    if !file_type.is_file() {
        bail!("expected a file, a directory or a symbolic link");
    }
    if found.len() > FILE_MAX {
        bail!("expected at most {FILE_MAX} bytes, found {}", found.len());
    }
    let mode = if found.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
    let content = Content::Bytes(fs::read(path)?.into());
    Ok(Some(Node::new(Kind::File(content), mode, epoch)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_where_the_roots_links_lead_and_modes_are_gits() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("lib/systemd")).unwrap();
        fs::write(at("lib/systemd/run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(at("lib/systemd/run"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(at("motd"), "hello").unwrap();
        fs::set_permissions(at("motd"), fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("motd", at("link")).unwrap();

        let mut tree = Tree::new(None, 0);
        tree.make_dirs("usr/lib", 0).unwrap();
        tree.insert("lib", Node::new(Kind::Symlink("usr/lib".into()), 0o777, 0)).unwrap();
        let applied = apply(&mut tree, dir.path(), 7).unwrap();
        let digest = |text: &str| Sha256::of(text.as_bytes());
        assert_eq!(
            applied,
            format!(
                "\"lib/systemd/run\" 0755 {}\n\"link\" 0777 \"motd\"\n\"motd\" 0644 {}\n",
                digest("#!/bin/sh\n"),
                digest("hello")
            )
        );

        assert_eq!(tree.get("usr/lib/systemd/run").unwrap().mode, 0o755);
        let motd = tree.get("motd").unwrap();
        assert_eq!((motd.mode, motd.uid, motd.mtime), (0o644, 0, 7));
        assert_eq!(tree.get("link").unwrap().kind, Kind::Symlink("motd".into()));
        assert!(matches!(tree.get("lib").unwrap().kind, Kind::Symlink(_)));
    }

    #[test]
    fn a_file_cannot_replace_a_directory_with_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("usr"), "").unwrap();
        let mut tree = Tree::new(None, 0);
        tree.make_dirs("usr/lib", 0).unwrap();
        let error = format!("{:#}", apply(&mut tree, dir.path(), 0).unwrap_err());
        assert!(error.contains("/usr is a directory with files"), "{error}");
    }
}

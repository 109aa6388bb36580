//! Reads a tar archive, as mmdebstrap writes it, into a [`Tree`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context as _, bail};
use tar::EntryType;

use super::tree::{Content, FILE_MAX, Kind, Node, Tree};

/// PAX prefix of extended attributes.
const XATTR: &str = "SCHILY.xattr.";
/// Most files and directories of a root.
const ENTRIES_MAX: usize = 2_000_000;

/// Reads the archive at `path`; dates later than `epoch` become `epoch`.
pub(crate) fn read(path: &Path, epoch: u64) -> anyhow::Result<Tree> {
    let open = || File::open(path).with_context(|| format!("open {}", path.display()));
    let mut tree = Tree::new(Some(open()?), epoch);
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 16, open()?));
    let entries = archive.entries_with_seek().with_context(|| format!("read {}", path.display()))?;
    let mut later = Vec::new();
    for entry in entries {
        let mut entry = entry.with_context(|| format!("read {}", path.display()))?;
        if tree.len() > ENTRIES_MAX {
            bail!("{}: more than {ENTRIES_MAX} entries", path.display());
        }
        let (name, node) = node(&mut entry, epoch)?;
        match node {
            Found::Node(node) if parent_is_there(&tree, &name) => tree.insert(&name, node)?,
            Found::Node(node) => later.push((name, node)),
            Found::HardLink(target) => {
                let node = tree.get(&target).cloned();
                let node = node.with_context(|| {
                    format!("{}: /{name} links to /{target}, which does not come before it", path.display())
                })?;
                tree.insert(&name, node)?;
            }
        }
    }
    // mmdebstrap puts /dev before the root directory; any other order of directories is as good.
    later.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, node) in later {
        tree.insert(&name, node)?;
    }
    Ok(tree)
}

enum Found {
    Node(Node),
    HardLink(String),
}

fn parent_is_there(tree: &Tree, name: &str) -> bool {
    tree.get(super::tree::split(name).0).is_some()
}

fn node<R: Read>(entry: &mut tar::Entry<'_, R>, epoch: u64) -> anyhow::Result<(String, Found)> {
    let name = text(&entry.path_bytes(), "path")?;
    let name = clean(&name).to_owned();
    let context = || format!("tar entry /{name}");
    let xattrs = xattrs(entry).with_context(context)?;
    let offset = entry.raw_file_position();
    let size = entry.size();
    let header = entry.header();
    let target = || -> anyhow::Result<String> {
        let bytes =
            entry.link_name_bytes().with_context(|| format!("tar entry /{name}: link without target"))?;
        text(&bytes, "link target")
    };
    let device = || -> anyhow::Result<(u32, u32)> {
        let major = header.device_major()?.context("no major number")?;
        Ok((major, header.device_minor()?.context("no minor number")?))
    };
    let kind = match header.entry_type() {
        EntryType::Directory => Kind::Dir,
        EntryType::Regular | EntryType::Continuous if size > FILE_MAX => {
            bail!("tar entry /{name}: expected at most {FILE_MAX} bytes, found {size}")
        }
        EntryType::Regular | EntryType::Continuous => Kind::File(Content::Archive { offset, len: size }),
        EntryType::Symlink => Kind::Symlink(target()?),
        EntryType::Link => return Ok((name.clone(), Found::HardLink(clean(&target()?).to_owned()))),
        EntryType::Char => {
            device().map(|(major, minor)| Kind::CharDevice(major, minor)).with_context(context)?
        }
        EntryType::Block => {
            device().map(|(major, minor)| Kind::BlockDevice(major, minor)).with_context(context)?
        }
        EntryType::Fifo => Kind::Fifo,
        other => bail!("tar entry /{name}: type {other:?} is not known"),
    };
    let id = |id: u64| u32::try_from(id).with_context(context);
    let node = Node {
        mode: (header.mode().with_context(context)? & 0o7777) as u16,
        uid: id(header.uid().with_context(context)?)?,
        gid: id(header.gid().with_context(context)?)?,
        mtime: header.mtime().with_context(context)?.min(epoch),
        xattrs,
        kind,
    };
    Ok((name, Found::Node(node)))
}

/// A path without `./` before and `/` behind it.
fn clean(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    if path == "." { "" } else { path.strip_prefix("./").unwrap_or(path) }
}

fn text(bytes: &[u8], what: &str) -> anyhow::Result<String> {
    let lossy = || format!("tar entry: {what} {:?} is not UTF-8", String::from_utf8_lossy(bytes));
    std::str::from_utf8(bytes).map(str::to_owned).with_context(lossy)
}

fn xattrs<R: Read>(entry: &mut tar::Entry<'_, R>) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let Some(extensions) = entry.pax_extensions()? else { return Ok(found) };
    for extension in extensions {
        let extension = extension?;
        if let Some(name) = extension.key().ok().and_then(|key| key.strip_prefix(XATTR)) {
            found.insert(name.to_owned(), extension.value_bytes().to_vec());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_becomes_a_tree() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.tar");
        let mut builder = tar::Builder::new(File::create(&path).unwrap());
        let mut add = |name: &str, kind: EntryType, link: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(kind);
            header.set_mode(0o4755);
            header.set_uid(3);
            header.set_gid(4);
            header.set_mtime(500);
            header.set_size(bytes.len() as u64);
            if !link.is_empty() {
                header.set_link_name(link).unwrap();
            }
            builder.append_data(&mut header, name, bytes).unwrap();
        };
        add("./dev/", EntryType::Directory, "", b"");
        add("./usr/", EntryType::Directory, "", b"");
        add("./usr/a", EntryType::Regular, "", b"hello");
        add("./usr/b", EntryType::Link, "./usr/a", b"");
        add("./usr/c", EntryType::Symlink, "/usr/a", b"");
        builder.into_inner().unwrap();

        let tree = read(&path, 400).unwrap();
        assert_eq!(tree.len(), 6);
        assert_eq!(tree.read_file("usr/b").unwrap().unwrap(), b"hello");
        assert_eq!(tree.get("usr/b").unwrap().kind, tree.get("usr/a").unwrap().kind);
        assert_eq!(tree.get("usr/c").unwrap().kind, Kind::Symlink("/usr/a".into()));
        let node = tree.get("usr/a").unwrap();
        assert_eq!((node.mode, node.uid, node.gid, node.mtime), (0o4755, 3, 4, 400));
    }
}

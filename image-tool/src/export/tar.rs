//! The files of a root image as a tar archive (POSIX.1-2001 pax): owners, permissions, dates, devices, links and extended
//! attributes as the image has them. Names are relative, the root is `./`.

mod entry;

use std::collections::HashMap;
use std::io::{BufWriter, Write};

use anyhow::{Context as _, bail};

use self::entry::{BLOCK_LEN, Entry, Type};
use super::{Artifact, Output};
use crate::erofs_read::{Extent, Image, Kind, Node, StoreImage};

/// Bytes written at a time.
const BUFFER: usize = 1 << 20;
/// The end of an archive.
const END: [u8; 2 * BLOCK_LEN] = [0; 2 * BLOCK_LEN];

/// Writes the archive.
pub(crate) fn tar(artifact: &Artifact<'_>, output: &Output) -> anyhow::Result<()> {
    // Two views of the image: reading contents must not push the inodes out of memory.
    let open = || Image::open(StoreImage::new(artifact.store, artifact.index));
    let (tree, contents) = (open()?, open()?);
    let mut archive = BufWriter::with_capacity(BUFFER, output.file());
    let mut linked: HashMap<u64, String> = HashMap::new();
    for node in tree.walk() {
        let node = node?;
        let first = linked.get(&node.nid).map(String::as_str);
        let (entry, content) = describe(&node, first)?;
        archive.write_all(&entry.encode()).context("write")?;
        if let Some(extent) = content {
            write(&contents, &extent, &mut archive).with_context(|| format!("/{}", node.path))?;
            artifact.progress.add(extent.size);
        }
        let is_linked = node.links > 1 && !matches!(node.kind, Kind::Dir(_));
        if is_linked {
            linked.entry(node.nid).or_insert(node.path);
        }
    }
    archive.write_all(&END).and_then(|()| archive.flush()).context("write")
}

/// What the archive says of a file; `first` is where it was before, under another name.
fn describe<'n>(node: &'n Node, first: Option<&'n str>) -> anyhow::Result<(Entry<'n>, Option<Extent>)> {
    let (kind, content) = match (&node.kind, first) {
        (_, Some(first)) => (Type::Link(first), None),
        (Kind::Dir(_), None) => (Type::Dir, None),
        (Kind::File(extent), None) => (Type::File(extent.size), Some(*extent)),
        (Kind::Symlink(target), None) => (Type::Symlink(target), None),
        (Kind::CharDevice(major, minor), None) => (Type::CharDevice(*major, *minor), None),
        (Kind::BlockDevice(major, minor), None) => (Type::BlockDevice(*major, *minor), None),
        (Kind::Fifo, None) => (Type::Fifo, None),
        (Kind::Socket, None) => bail!("/{}: a tar archive has no sockets", node.path),
    };
    let name = match (node.path.as_str(), &kind) {
        ("", _) => "./".to_owned(),
        (path, Type::Dir) => format!("{path}/"),
        (path, _) => path.to_owned(),
    };
    let entry = Entry {
        name,
        kind,
        mode: node.mode,
        uid: node.uid,
        gid: node.gid,
        mtime: node.mtime,
        xattrs: &node.xattrs,
    };
    Ok((entry, content))
}

fn write(contents: &Image<StoreImage<'_>>, extent: &Extent, archive: &mut impl Write) -> anyhow::Result<()> {
    contents.read(extent, &mut |piece| archive.write_all(piece).context("write"))?;
    let padding = extent.size.next_multiple_of(BLOCK_LEN as u64) - extent.size;
    archive.write_all(&END[..padding as usize]).context("write")
}

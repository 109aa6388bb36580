//! Inodes with their extended attributes.

use anyhow::{Context as _, bail};

use crate::build::tree::{Kind, Node};

/// Contents begin at a block.
const FLAT_PLAIN: u16 = 0;
/// The last part of the contents stands behind the inode.
const FLAT_INLINE: u16 = 2;
/// Length of the header before extended attributes.
const XATTR_HEADER: usize = 12;
/// Extended attributes' name prefixes and their numbers.
const PREFIXES: [(&str, u8); 5] = [
    ("user.", 1),
    ("system.posix_acl_access", 2),
    ("system.posix_acl_default", 3),
    ("trusted.", 4),
    ("security.", 6),
];

/// What an inode says besides the node's own metadata.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    /// Sequential number, for `stat` of 32-bit programs.
    pub(super) ino: u32,
    /// Length of the contents.
    pub(super) size: u64,
    /// First block of the contents that are not inline.
    pub(super) block: u32,
    /// Whether the last part of the contents is inline.
    pub(super) inline: bool,
    /// Number of links.
    pub(super) links: u32,
}

/// Whether a node needs an extended inode. (Size alone never does: files are below 4 GiB.)
fn is_extended(node: &Node, links: u32, epoch: u64) -> bool {
    let long = |number: u32| u16::try_from(number).is_err();
    node.mtime != epoch || long(node.uid) || long(node.gid) || long(links)
}

/// Length of inode and extended attributes.
pub(super) fn len(node: &Node, links: u32, epoch: u64) -> anyhow::Result<usize> {
    let inode = if is_extended(node, links, epoch) { 64 } else { 32 };
    Ok(inode + xattrs(node)?.len())
}

/// The inode's bytes with its extended attributes.
pub(super) fn encode(node: &Node, placed: &Placed, epoch: u64) -> anyhow::Result<Vec<u8>> {
    let extended = is_extended(node, placed.links, epoch);
    let xattrs = xattrs(node)?;
    // The header counts as one, every 4 bytes behind it as one more.
    let xattr_count = if xattrs.is_empty() { 0 } else { 1 + (xattrs.len() - XATTR_HEADER) / 4 };
    let xattr_count = u16::try_from(xattr_count).context("extended attributes are too long")?;
    let layout = if placed.inline { FLAT_INLINE } else { FLAT_PLAIN };
    let union = match &node.kind {
        Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) => device(*major, *minor),
        _ => placed.block,
    };

    let mut bytes = Vec::with_capacity(64 + xattrs.len());
    let mut put = |field: &[u8]| bytes.extend_from_slice(field);
    put(&(u16::from(extended) | layout << 1).to_le_bytes());
    put(&xattr_count.to_le_bytes());
    put(&(type_bits(&node.kind) | node.mode).to_le_bytes());
    if extended {
        put(&[0; 2]);
        put(&placed.size.to_le_bytes());
        put(&union.to_le_bytes());
        put(&placed.ino.to_le_bytes());
        put(&node.uid.to_le_bytes());
        put(&node.gid.to_le_bytes());
        put(&node.mtime.to_le_bytes());
        put(&[0; 4]);
        put(&placed.links.to_le_bytes());
        put(&[0; 16]);
    } else {
        put(&(placed.links as u16).to_le_bytes());
        put(&u32::try_from(placed.size).context("a file of 4 GiB or more")?.to_le_bytes());
        put(&[0; 4]);
        put(&union.to_le_bytes());
        put(&placed.ino.to_le_bytes());
        put(&(node.uid as u16).to_le_bytes());
        put(&(node.gid as u16).to_le_bytes());
        put(&[0; 4]);
    }
    put(&xattrs);
    Ok(bytes)
}

fn type_bits(kind: &Kind) -> u16 {
    match kind {
        Kind::Fifo => 0o010_000,
        Kind::CharDevice(..) => 0o020_000,
        Kind::Dir => 0o040_000,
        Kind::BlockDevice(..) => 0o060_000,
        Kind::File(_) => 0o100_000,
        Kind::Symlink(_) => 0o120_000,
    }
}

/// Linux's `new_encode_dev`.
fn device(major: u32, minor: u32) -> u32 {
    minor & 0xff | major << 8 | (minor & !0xff) << 12
}

fn xattrs(node: &Node) -> anyhow::Result<Vec<u8>> {
    if node.xattrs.is_empty() {
        return Ok(Vec::new());
    }
    let mut bytes = vec![0; XATTR_HEADER];
    for (name, value) in &node.xattrs {
        let Some((suffix, index)) =
            PREFIXES.iter().find_map(|(prefix, index)| Some((name.strip_prefix(prefix)?, *index)))
        else {
            bail!("extended attribute {name:?} is of no known kind");
        };
        bytes.push(
            u8::try_from(suffix.len()).with_context(|| format!("extended attribute {name:?} is too long"))?,
        );
        bytes.push(index);
        let len =
            u16::try_from(value.len()).with_context(|| format!("extended attribute {name:?} is too long"))?;
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(suffix.as_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    Ok(bytes)
}

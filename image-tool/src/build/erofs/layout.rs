//! Decides where everything lies, before the first byte is written.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use image_format::BLOCK;

use super::directory::{self, Entry};
use super::inode::{self, Placed};
use super::{BLOCK_LEN, file_type};
use crate::build::contents::Contents;
use crate::build::tree::{Content, Kind, Node, Tree, join, split};

/// Inode numbers count slots of this many bytes from the start of the inode table.
const SLOT: usize = 32;

/// Positions of everything in the image.
pub(super) struct Layout {
    /// File contents in the order in which they are written, from block 1 on.
    pub(super) data: Vec<Content>,
    /// First block of the inode table.
    pub(super) meta_block: u32,
    /// Inode number of the root directory.
    pub(super) root_nid: u16,
    /// Number of inodes.
    pub(super) inodes: u64,
    /// Blocks in all.
    pub(super) blocks: u32,
    epoch: u64,
    /// In the order of paths.
    inodes_placed: Vec<Inode>,
    table_len: usize,
}

struct Inode {
    path: String,
    /// Offset in the inode table.
    offset: usize,
    placed: Placed,
    /// The contents of a directory or symbolic link.
    own: Vec<u8>,
}

impl Inode {
    /// Where the inline part of its own contents begins.
    fn inline_start(&self) -> usize {
        if self.placed.inline { self.own.len() / BLOCK_LEN * BLOCK_LEN } else { self.own.len() }
    }
}

impl Layout {
    /// Plans the image of `tree`.
    pub(super) fn of(tree: &Tree, contents: &Contents, epoch: u64) -> anyhow::Result<Self> {
        let mut next_block = 1;
        let (data, file_blocks) = place_data(tree, contents, &mut next_block)?;
        let mut inodes = Vec::with_capacity(tree.len());
        // Slot 0 stays empty: a file with inode number 0 would be invisible to some programs.
        let mut table_len = SLOT;
        for (number, (path, node)) in tree.iter().enumerate() {
            let own = own_contents(tree, path, node, &|_| 0);
            let links = links(tree, path, node);
            let core = inode::len(node, links, epoch).with_context(|| format!("root image: /{path}"))?;
            let tail = own.len() % BLOCK_LEN;
            let inline = tail > 0 && core + tail <= BLOCK_LEN;
            let outside = if inline { own.len() - tail } else { own.len() };
            let size = if let Kind::File(content) = &node.kind { content.len() } else { own.len() as u64 };
            let block = match file_blocks.get(path) {
                Some(block) => *block,
                None if outside > 0 => advance(&mut next_block, outside as u64)?,
                None => 0,
            };
            let needed = core + if inline { tail } else { 0 };
            let mut offset = table_len.next_multiple_of(SLOT);
            if offset % BLOCK_LEN + needed > BLOCK_LEN {
                offset = offset.next_multiple_of(BLOCK_LEN);
            }
            table_len = offset + needed;
            let placed = Placed { ino: number as u32 + 1, size, block, inline, links };
            inodes.push(Inode { path: path.to_owned(), offset, placed, own });
        }
        let meta_block = advance(&mut next_block, table_len as u64)?;
        let mut layout = Self {
            data,
            meta_block,
            root_nid: 0,
            inodes: inodes.len() as u64,
            blocks: next_block,
            epoch,
            inodes_placed: inodes,
            table_len,
        };
        layout.number_directories(tree)?;
        Ok(layout)
    }

    /// Writes the now known inode numbers into the directories.
    fn number_directories(&mut self, tree: &Tree) -> anyhow::Result<()> {
        let nids: HashMap<String, u64> = self
            .inodes_placed
            .iter()
            .map(|inode| (inode.path.clone(), (inode.offset / SLOT) as u64))
            .collect();
        let root_nid = nids[""];
        self.root_nid = u16::try_from(root_nid).context("root image: the root's inode number")?;
        for inode in &mut self.inodes_placed {
            if let Some(node) = tree.get(&inode.path).filter(|node| node.kind == Kind::Dir) {
                inode.own = own_contents(tree, &inode.path, node, &|path| nids[path]);
            }
        }
        Ok(())
    }

    /// The blocks of directories (and long links) that are not inline, in the order of their places.
    pub(super) fn directory_blocks(&self) -> impl Iterator<Item = &[u8]> {
        self.inodes_placed
            .iter()
            .map(|inode| &inode.own[..inode.inline_start()])
            .filter(|bytes| !bytes.is_empty())
    }

    /// The inode table.
    pub(super) fn inode_table(&self, tree: &Tree) -> anyhow::Result<Vec<u8>> {
        let mut table = vec![0; self.table_len];
        for inode in &self.inodes_placed {
            let node =
                tree.get(&inode.path).with_context(|| format!("root image: /{} is gone", inode.path))?;
            let core = inode::encode(node, &inode.placed, self.epoch)
                .with_context(|| format!("root image: /{}", inode.path))?;
            let inline = &inode.own[inode.inline_start()..];
            let end = inode.offset + core.len();
            table[inode.offset..end].copy_from_slice(&core);
            table[end..][..inline.len()].copy_from_slice(inline);
        }
        Ok(table)
    }
}

/// Takes the blocks for `len` bytes and returns the first.
fn advance(next_block: &mut u32, len: u64) -> anyhow::Result<u32> {
    let first = *next_block;
    let end = u64::from(first) + len.div_ceil(BLOCK);
    if end * BLOCK > image_format::manifest::ROOT_MAX {
        bail!("root image: larger than {} bytes", image_format::manifest::ROOT_MAX);
    }
    *next_block = end as u32;
    Ok(first)
}

/// Places file contents, equal ones once; packages' files before those that were added. Gives the first block by path.
fn place_data<'t>(
    tree: &'t Tree,
    contents: &Contents,
    next_block: &mut u32,
) -> anyhow::Result<(Vec<Content>, HashMap<&'t str, u32>)> {
    let files = |added: bool| {
        tree.iter().filter_map(move |(path, node)| match &node.kind {
            Kind::File(content) if matches!(content, Content::Bytes(_)) == added && content.len() > 0 => {
                Some((path, content))
            }
            _ => None,
        })
    };
    let mut data = Vec::new();
    let mut by_digest = HashMap::new();
    let mut by_path = HashMap::new();
    for (path, content) in files(false).chain(files(true)) {
        let digest = contents.digest(path).with_context(|| format!("root image: /{path} has no digest"))?;
        let block = match by_digest.get(&digest) {
            Some(block) => *block,
            None => {
                let block = advance(next_block, content.len())?;
                by_digest.insert(digest, block);
                data.push(content.clone());
                block
            }
        };
        by_path.insert(path, block);
    }
    Ok((data, by_path))
}

fn links(tree: &Tree, path: &str, node: &Node) -> u32 {
    match node.kind {
        Kind::Dir => 2 + tree.children(path).filter(|(_, child)| child.kind == Kind::Dir).count() as u32,
        _ => 1,
    }
}

/// A link's target, or a directory's entries with the inode numbers that `nid` gives for paths.
fn own_contents(tree: &Tree, path: &str, node: &Node, nid: &dyn Fn(&str) -> u64) -> Vec<u8> {
    match &node.kind {
        Kind::Symlink(target) => target.clone().into_bytes(),
        Kind::Dir => {
            let dots = [(".", path), ("..", split(path).0)];
            let dots =
                dots.map(|(name, target)| Entry { name, nid: nid(target), file_type: file_type(&Kind::Dir) });
            let children = tree.children(path).map(|(name, child)| Entry {
                name,
                nid: nid(&join(path, name)),
                file_type: file_type(&child.kind),
            });
            let mut entries: Vec<Entry<'_>> = dots.into_iter().chain(children).collect();
            entries.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
            directory::encode(&entries)
        }
        _ => Vec::new(),
    }
}

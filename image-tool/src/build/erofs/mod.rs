//! Writes a [`Tree`](super::tree::Tree) as an EROFS image (Linux `fs/erofs/erofs_fs.h`), uncompressed.
//!
//! ```text
//! block 0: superblock at 1024 | file data, each file from a block boundary on | directory blocks | inode table
//! ```
//!
//! Why an own writer: the image follows from the tree alone (no mount, no root rights, no unpacking), file data is where
//! the chunker wants it, and files that share their bytes share their blocks.
//!
//! * Data of packages' files comes first, data of overlay files behind it: a changed configuration file moves nothing.
//! * Files are `FLAT_PLAIN`. The last part of a directory, and a symbolic link's target, stand behind the inode
//!   (`FLAT_INLINE`) when they fit into its block.
//! * An inode is compact (32 bytes) when its date is the image's and its numbers fit, else extended (64 bytes).
//! * Every kernel since 5.4 reads it: no feature flags, 4096-byte blocks.
//!
//! Not made: shared extended attributes, chunk-based files, the superblock's checksum (dm-verity covers every block).

mod directory;
mod inode;
mod layout;
mod superblock;

use std::io::{self, Write};

use anyhow::Context as _;
use image_format::BLOCK;
use image_format::chunker::{FileMap, MapError};

use self::layout::Layout;
use super::contents::Contents;
use super::tree::{Kind, Tree};

const BLOCK_LEN: usize = BLOCK as usize;

/// Writes the image and returns where its files begin; metadata of different kinds count as files of their own.
///
/// # Errors
/// Contents cannot be read, `out` cannot be written, or something exceeds what the format holds.
pub(crate) fn write(
    tree: &Tree,
    contents: &Contents,
    epoch: u64,
    out: &mut dyn Write,
    progress: &dyn Fn(u64),
) -> anyhow::Result<FileMap> {
    let layout = Layout::of(tree, contents, epoch)?;
    let mut out = Padded { out, written: 0, starts: Vec::new() };
    let inodes = layout.inode_table(tree)?;
    let uuid = superblock::uuid(layout.directory_blocks().chain([inodes.as_slice()]));
    out.block(&superblock::encode(&layout, epoch, &uuid)).context("write root image")?;
    for content in &layout.data {
        let bytes = tree.read(content).context("read a file of the root tree")?;
        out.block(&bytes).context("write root image")?;
        progress(bytes.len() as u64);
    }
    for blocks in layout.directory_blocks() {
        out.block(blocks).context("write root image")?;
    }
    out.block(&inodes).context("write root image")?;
    out.map().context("list where the files of the root image begin")
}

/// Writes whole blocks.
struct Padded<'w> {
    out: &'w mut dyn Write,
    written: u64,
    /// The block with which each part began.
    starts: Vec<u32>,
}

impl Padded<'_> {
    /// Writes `bytes` and zeros up to the next block boundary.
    fn block(&mut self, bytes: &[u8]) -> io::Result<()> {
        const ZEROS: [u8; BLOCK_LEN] = [0; BLOCK_LEN];
        let padding = bytes.len().next_multiple_of(BLOCK_LEN) - bytes.len();
        self.out.write_all(bytes)?;
        self.out.write_all(&ZEROS[..padding])?;
        if !bytes.is_empty() {
            // The layout has checked that the image has no more blocks than this can say.
            self.starts.push((self.written / BLOCK) as u32);
        }
        self.written += (bytes.len() + padding) as u64;
        Ok(())
    }

    /// Where the parts are.
    fn map(self) -> Result<FileMap, MapError> {
        FileMap::new(self.starts, (self.written / BLOCK) as u32)
    }
}

/// The format's number for what a directory entry points to.
fn file_type(kind: &Kind) -> u8 {
    match kind {
        Kind::File(_) => 1,
        Kind::Dir => 2,
        Kind::CharDevice(..) => 3,
        Kind::BlockDevice(..) => 4,
        Kind::Fifo => 5,
        Kind::Symlink(_) => 7,
    }
}

#[cfg(test)]
mod tests;

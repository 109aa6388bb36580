//! Reads an EROFS image (Linux `fs/erofs/erofs_fs.h`) as [`build`](crate::build) writes it: uncompressed, blocks of 4 KiB, file
//! contents in one piece from a block boundary on, the last part of directories and links behind the inode.
//!
//! The image may come from anybody. Everything is looked at before it is used: positions lie inside of the image, lengths within
//! the limits below, names are sorted and of one path segment, no directory is entered twice. What uses another feature of the
//! format is refused with its name. Memory: one directory for each level, and whatever the source keeps.

mod directory;
mod error;
mod inode;
mod source;
#[cfg(test)]
mod tests;
mod walk;

use image_format::BLOCK;

pub(crate) use self::error::ErofsError;
pub(crate) use self::source::{ReadAt, StoreImage, read_chunk};

/// Longest path in bytes.
const PATH_MAX: usize = 4096;
/// Largest directory in bytes: about a million entries.
const DIRECTORY_MAX: u64 = 64 << 20;
/// Longest target of a symbolic link.
const LINK_MAX: u64 = 4096;
/// Most files of all kinds that are walked through: many times as many as a distribution has.
const NODES_MAX: u64 = 4 << 20;
/// Bytes of a file given away at a time.
const PIECE: usize = 1 << 20;

/// Where the superblock is.
const SUPERBLOCK: u64 = 1024;
const SUPERBLOCK_LEN: usize = 128;
const MAGIC: u32 = 0xE0F5_E1E2;
/// Binary logarithm of the block size.
const BLOCK_BITS: u8 = 12;
/// Inode numbers count slots of this many bytes.
const SLOT: u64 = 32;

/// A file of any kind, as the walk finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Path without a leading slash; the root's is empty.
    pub(crate) path: String,
    /// Inode number: the same for hard links.
    pub(crate) nid: u64,
    /// Permission bits.
    pub(crate) mode: u16,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Date of modification, in seconds since 1970.
    pub(crate) mtime: u64,
    /// Number of links.
    pub(crate) links: u32,
    /// What it is.
    pub(crate) kind: Kind,
    /// Extended attributes: full name and value.
    pub(crate) xattrs: Vec<(String, Vec<u8>)>,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory.
    Dir(Extent),
    /// A regular file.
    File(Extent),
    /// A symbolic link to this.
    Symlink(String),
    /// A character device: major, minor.
    CharDevice(u32, u32),
    /// A block device: major, minor.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// Where contents lie. All of it is inside of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Length in bytes.
    pub(crate) size: u64,
    /// First block of what is not inline.
    pub(crate) block: u32,
    /// Position in the image of the part behind the last whole block, if that stands behind the inode.
    pub(crate) tail: Option<u64>,
}

impl Extent {
    /// Blocks that are all its own, from [`Extent::block`] on.
    pub(crate) fn blocks(&self) -> u32 {
        let len = if self.tail.is_some() { self.size / BLOCK } else { self.size.div_ceil(BLOCK) };
        // Inside of the image, which has fewer than 2^32 blocks.
        len as u32
    }

    /// The pieces of the image that make it up: position and length in bytes.
    fn pieces(&self) -> [(u64, u64); 2] {
        let start = u64::from(self.block) * BLOCK;
        match self.tail {
            Some(tail) => [(start, self.size / BLOCK * BLOCK), (tail, self.size % BLOCK)],
            None => [(start, self.size), (0, 0)],
        }
    }
}

/// An image whose superblock has been read.
#[derive(Debug)]
pub(crate) struct Image<R> {
    source: R,
    /// Bytes that the file system covers.
    len: u64,
    root_nid: u64,
    /// Where the inode table begins, in bytes.
    inodes_at: u64,
    /// The date of files that say none.
    epoch: u64,
}

impl<R: ReadAt> Image<R> {
    /// Reads the superblock.
    pub(crate) fn open(source: R) -> Result<Self, ErofsError> {
        let mut block = [0; SUPERBLOCK_LEN];
        let what = "superblock";
        if source.size() < BLOCK {
            return Err(ErofsError::new(what, "a block of 4096 bytes", source.size()));
        }
        source.read_at(&mut block, SUPERBLOCK).map_err(|source| ErofsError::read(what, source))?;
        let fields = Fields(&block);
        for (field, expected, found) in [
            ("magic", u64::from(MAGIC), u64::from(fields.u32(0))),
            ("block size (bits)", BLOCK_BITS.into(), fields.u8(12).into()),
            ("incompatible features", 0, fields.u32(80).into()),
        ] {
            if expected != found {
                return Err(ErofsError::new(what, format!("{field} {expected:#x}"), format!("{found:#x}")));
            }
        }
        let len = u64::from(fields.u32(36)) * BLOCK;
        let inodes_at = u64::from(fields.u32(40)) * BLOCK;
        if len > source.size() || inodes_at >= len {
            let found = format!("{len} bytes, inodes at {inodes_at}");
            return Err(ErofsError::new(what, format!("everything within {} bytes", source.size()), found));
        }
        let (root_nid, epoch) = (fields.u16(14).into(), fields.u64(24));
        Ok(Self { len, root_nid, inodes_at, epoch, source })
    }

    /// First block of the inode table.
    pub(crate) fn inode_block(&self) -> u32 {
        (self.inodes_at / BLOCK) as u32
    }

    /// Blocks of the file system.
    pub(crate) fn blocks(&self) -> u32 {
        (self.len / BLOCK) as u32
    }

    /// Gives the contents of a file, piece by piece.
    ///
    /// # Errors
    /// The image cannot be read, or the receiver's own error.
    pub(crate) fn read(
        &self,
        extent: &Extent,
        sink: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for (mut at, mut left) in extent.pieces() {
            let mut piece = vec![0; left.min(PIECE as u64) as usize];
            while left > 0 {
                let now = left.min(PIECE as u64) as usize;
                self.bytes(&mut piece[..now], at, "contents")?;
                sink(&piece[..now])?;
                at += now as u64;
                left -= now as u64;
            }
        }
        Ok(())
    }

    /// All of it at once; the caller has looked at the size.
    fn read_all(&self, extent: &Extent, what: &'static str) -> Result<Vec<u8>, ErofsError> {
        let mut bytes = Vec::new();
        for (at, len) in extent.pieces() {
            let start = bytes.len();
            bytes.resize(start + len as usize, 0);
            self.bytes(&mut bytes[start..], at, what)?;
        }
        Ok(bytes)
    }

    fn bytes(&self, into: &mut [u8], at: u64, what: &'static str) -> Result<(), ErofsError> {
        self.inside(at, into.len() as u64, what)?;
        self.source.read_at(into, at).map_err(|source| ErofsError::read(what, source))
    }

    fn inside(&self, at: u64, len: u64, what: &'static str) -> Result<(), ErofsError> {
        if at.checked_add(len).is_some_and(|end| end <= self.len) {
            return Ok(());
        }
        let found = format!("{len} bytes from {at} on");
        Err(ErofsError::new(what, format!("a place within {} bytes", self.len), found))
    }
}

/// Little-endian numbers at fixed places; the places are within the bytes.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn at<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0[at..at + N].try_into().expect("the slice was cut to N bytes")
    }

    fn u8(&self, at: usize) -> u8 {
        self.0[at]
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.at(at))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.at(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.at(at))
    }
}

//! The dm-verity hash tree: hash type 1, SHA-256, 4096-byte data and hash blocks, no superblock.
//!
//! Byte for byte what `veritysetup format --no-superblock` writes to its hash device (Linux
//! `Documentation/admin-guide/device-mapper/verity.rst`, "On-disk format"): digest = SHA-256(salt ‖ block); 128 digests a
//! hash block, the last block of a level padded with zeros; levels from the top one down. The root hash is the digest of the
//! top block; data of a single block has no tree, and its digest is the root hash.
//!
//! The whole tree (0.8 % of the data) is allocated once, at its final size, and digests are written in place.

mod outline;

use std::num::NonZeroUsize;

use sha2::Digest as _;

use crate::manifest::ROOT_MAX;
use crate::{BLOCK, Sha256};

pub use self::outline::{BlockHasher, Outline};

const BLOCK_LEN: usize = BLOCK as usize;
const DIGEST_LEN: usize = 32;
/// Digests in a hash block.
const FANOUT: u64 = BLOCK / DIGEST_LEN as u64;
/// From this many bytes in one call on, a second thread pays for itself.
const PARALLEL_MIN: usize = 1 << 20;
/// More threads than this wait for memory.
const THREADS_MAX: usize = 8;

/// Size in bytes of the tree over `data_len` bytes (whole blocks). Zero for a single block.
pub fn tree_len(data_len: u64) -> u64 {
    level_blocks(data_len).sum::<u64>() * BLOCK
}

/// Hash blocks in each level, from the one over the data up to the top one.
fn level_blocks(data_len: u64) -> impl Iterator<Item = u64> {
    let above = |blocks: u64| (blocks > 1).then(|| blocks.div_ceil(FANOUT));
    std::iter::successors(above(data_len.div_ceil(BLOCK)), move |blocks| above(*blocks))
}

/// Why no tree was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerityError {
    /// Not whole blocks, nothing, or more than [`ROOT_MAX`].
    #[error("verity: expected a data length of whole 4096-byte blocks up to {ROOT_MAX}, found {found}")]
    DataLen {
        /// Length asked for.
        found: u64,
    },
    /// Another number of bytes than announced was given.
    #[error("verity: expected {expected} bytes of data, found {found}")]
    Amount {
        /// Bytes announced.
        expected: u64,
        /// Bytes given; when there were too many, what there was when the first surplus byte came.
        found: u64,
    },
}

/// A finished tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The root hash.
    pub root_hash: Sha256,
    /// The hash device's content.
    pub bytes: Vec<u8>,
}

/// Makes a tree from data that comes in order, in pieces of any size.
pub struct Builder {
    salted: sha2::Sha256,
    data_len: u64,
    taken: u64,
    /// The beginning of a block whose end has not come yet.
    partial: Vec<u8>,
    bytes: Vec<u8>,
    /// Where the lowest level begins in `bytes`.
    level_start: usize,
    /// Digest of the only block, when there is only one.
    single: Option<[u8; DIGEST_LEN]>,
}

impl Builder {
    /// A builder for `data_len` bytes.
    ///
    /// # Errors
    /// [`VerityError::DataLen`].
    pub fn new(salt: Sha256, data_len: u64) -> Result<Self, VerityError> {
        if data_len == 0 || data_len > ROOT_MAX || !data_len.is_multiple_of(BLOCK) {
            return Err(VerityError::DataLen { found: data_len });
        }
        let total = tree_len(data_len);
        let lowest = level_blocks(data_len).next().unwrap_or(0) * BLOCK;
        Ok(Self {
            salted: sha2::Sha256::new_with_prefix(salt.as_bytes()),
            data_len,
            taken: 0,
            partial: Vec::with_capacity(BLOCK_LEN),
            bytes: vec![0; total as usize],
            level_start: (total - lowest) as usize,
            single: None,
        })
    }

    /// Takes the next bytes of the data. Bytes beyond the announced length are counted, and refused by
    /// [`Builder::finish`].
    pub fn update(&mut self, bytes: &[u8]) {
        let left = self.data_len.saturating_sub(self.taken + self.partial.len() as u64);
        if bytes.len() as u64 > left {
            // Never hashed: finish() refuses.
            self.taken = self.taken.saturating_add(bytes.len() as u64);
            return;
        }
        let mut rest = bytes;
        if !self.partial.is_empty() {
            let (head, tail) = rest.split_at(rest.len().min(BLOCK_LEN - self.partial.len()));
            self.partial.extend_from_slice(head);
            rest = tail;
            if self.partial.len() < BLOCK_LEN {
                return;
            }
            let block = std::mem::take(&mut self.partial);
            self.hash_blocks(&block);
            self.partial = block;
            self.partial.clear();
        }
        let (blocks, tail) = rest.split_at(rest.len() - rest.len() % BLOCK_LEN);
        self.hash_blocks(blocks);
        self.partial.extend_from_slice(tail);
    }

    /// The tree.
    ///
    /// # Errors
    /// [`VerityError::Amount`] when not exactly the announced number of bytes was given.
    pub fn finish(mut self) -> Result<Tree, VerityError> {
        let found = self.taken + self.partial.len() as u64;
        if found != self.data_len {
            return Err(VerityError::Amount { expected: self.data_len, found });
        }
        if let Some(digest) = self.single {
            return Ok(Tree { root_hash: Sha256::from_bytes(digest), bytes: self.bytes });
        }
        let levels: Vec<usize> =
            level_blocks(self.data_len).map(|blocks| (blocks * BLOCK) as usize).collect();
        let mut start = self.level_start;
        for pair in levels.windows(2) {
            let (above, level) = self.bytes[..start + pair[0]].split_at_mut(start);
            start -= pair[1];
            hash_into(&self.salted, level, &mut above[start..]);
        }
        let mut root_hash = [0; DIGEST_LEN];
        hash_into(&self.salted, &self.bytes[..BLOCK_LEN], &mut root_hash);
        Ok(Tree { root_hash: Sha256::from_bytes(root_hash), bytes: self.bytes })
    }

    fn hash_blocks(&mut self, blocks: &[u8]) {
        if blocks.is_empty() {
            return;
        }
        if self.bytes.is_empty() {
            let mut digest = [0; DIGEST_LEN];
            hash_into(&self.salted, blocks, &mut digest);
            self.single = Some(digest);
        } else {
            let first = (self.taken / BLOCK) as usize;
            let out = &mut self.bytes[self.level_start + first * DIGEST_LEN..];
            hash_parallel(&self.salted, blocks, out);
        }
        self.taken += blocks.len() as u64;
    }
}

/// Writes the digest of each block of `data` to `out`, one after the other.
fn hash_into(salted: &sha2::Sha256, data: &[u8], out: &mut [u8]) {
    for (block, digest) in data.chunks_exact(BLOCK_LEN).zip(out.chunks_exact_mut(DIGEST_LEN)) {
        digest.copy_from_slice(&salted.clone().chain_update(block).finalize());
    }
}

fn hash_parallel(salted: &sha2::Sha256, data: &[u8], out: &mut [u8]) {
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX);
    if data.len() < PARALLEL_MIN || threads == 1 {
        return hash_into(salted, data, out);
    }
    let share = (data.len() / BLOCK_LEN).div_ceil(threads);
    std::thread::scope(|scope| {
        let parts = data.chunks(share * BLOCK_LEN).zip(out.chunks_mut(share * DIGEST_LEN));
        for (data, out) in parts {
            scope.spawn(move || hash_into(salted, data, out));
        }
    });
}

#[cfg(test)]
mod tests;

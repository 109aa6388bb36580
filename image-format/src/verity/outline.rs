//! A tree without its lowest level, which is nearly all of it: for those who write that one as they make it.

use sha2::Digest as _;

use super::{BLOCK_LEN, DIGEST_LEN, hash_into, level_blocks};
use crate::{BLOCK, Sha256};

/// Digests of single blocks: of the data they are the lowest level, in the order of the blocks, padded with zeros to whole
/// blocks; of a level's blocks they are the level above it.
#[derive(Clone)]
pub struct BlockHasher {
    salted: sha2::Sha256,
}

impl BlockHasher {
    /// For this salt.
    pub fn new(salt: Sha256) -> Self {
        Self { salted: sha2::Sha256::new_with_prefix(salt.as_bytes()) }
    }

    /// Appends the digest of each whole block of `blocks` to `out`.
    pub fn hash(&self, blocks: &[u8], out: &mut Vec<u8>) {
        let before = out.len();
        out.resize(before + blocks.len() / BLOCK_LEN * DIGEST_LEN, 0);
        hash_into(&self.salted, blocks, &mut out[before..]);
    }
}

/// The levels above the lowest one: 1/16384 of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The root hash.
    pub root_hash: Sha256,
    /// The hash device's content before the lowest level, [`Outline::upper_len`] bytes.
    pub upper: Vec<u8>,
}

impl Outline {
    /// The outline over the digests of the lowest level's blocks; where the data are a single block, over that one's digest.
    /// None when there are no digests, or no whole ones.
    pub fn over(hasher: &BlockHasher, digests: Vec<u8>) -> Option<Self> {
        let mut upper = Vec::new();
        let mut level = digests;
        loop {
            if let Ok(root_hash) = <[u8; DIGEST_LEN]>::try_from(level.as_slice()) {
                return Some(Self { root_hash: Sha256::from_bytes(root_hash), upper });
            }
            if level.is_empty() || !level.len().is_multiple_of(DIGEST_LEN) {
                return None;
            }
            level.resize(level.len().next_multiple_of(BLOCK_LEN), 0);
            let mut above = Vec::new();
            hasher.hash(&level, &mut above);
            level.append(&mut upper);
            upper = std::mem::replace(&mut level, above);
        }
    }

    /// Length of [`Outline::upper`] in bytes for `data_len` bytes of data.
    pub fn upper_len(data_len: u64) -> u64 {
        level_blocks(data_len).skip(1).sum::<u64>() * BLOCK
    }
}

#[cfg(test)]
mod tests {
    use super::super::Builder;
    use super::*;

    #[test]
    fn both_ways_give_the_same_tree() {
        let salt = Sha256::of(b"salt");
        for blocks in [1_usize, 2, 127, 128, 129, 128 * 128, 128 * 128 + 1] {
            let data: Vec<u8> =
                (0..blocks).flat_map(|block| (block as u64).to_le_bytes().repeat(512)).collect();
            let mut builder = Builder::new(salt, data.len() as u64).unwrap();
            builder.update(&data);
            let tree = builder.finish().unwrap();

            let hasher = BlockHasher::new(salt);
            let mut lowest = Vec::new();
            data.chunks(7 * BLOCK_LEN).for_each(|piece| hasher.hash(piece, &mut lowest));
            let outline = if blocks == 1 {
                Outline::over(&hasher, std::mem::take(&mut lowest))
            } else {
                lowest.resize(lowest.len().next_multiple_of(BLOCK_LEN), 0);
                let mut digests = Vec::new();
                hasher.hash(&lowest, &mut digests);
                Outline::over(&hasher, digests)
            };
            let outline = outline.unwrap();
            assert_eq!(outline.root_hash, tree.root_hash, "{blocks} blocks");
            assert_eq!(outline.upper.len() as u64, Outline::upper_len(data.len() as u64));
            assert!([outline.upper, lowest].concat() == tree.bytes, "{blocks} blocks");
        }
    }

    #[test]
    fn no_digests_give_no_tree() {
        let hasher = BlockHasher::new(Sha256::of(b""));
        assert_eq!(Outline::over(&hasher, Vec::new()), None);
        assert_eq!(Outline::over(&hasher, vec![0; 33]), None);
    }
}

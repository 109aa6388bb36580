use proptest::prelude::*;

use super::{Builder, Tree, VerityError, tree_len};
use crate::manifest::ROOT_MAX;
use crate::{BLOCK, Sha256};

fn salt() -> Sha256 {
    Sha256::from_bytes(std::array::from_fn(|i| i as u8))
}

fn data(blocks: u64) -> Vec<u8> {
    let blocks: Vec<_> = (0..blocks).map(|block| block.to_le_bytes().repeat(512)).collect();
    blocks.concat()
}

fn build(data: &[u8], split: usize) -> Tree {
    let mut builder = Builder::new(salt(), data.len() as u64).unwrap();
    data.chunks(split).for_each(|piece| builder.update(piece));
    builder.finish().unwrap()
}

/// Blocks, root hash, size of the hash device, its SHA-256, by veritysetup 2.6.1:
///
/// ```sh
/// salt=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
/// for n in 1 2 128 129 16385; do
///   python3 -c "import sys
/// for i in range($n): sys.stdout.buffer.write(i.to_bytes(8, 'little') * 512)" > data
///   rm -f tree; veritysetup format --no-superblock --salt $salt data tree | grep 'Root hash'
///   stat -c %s tree; sha256sum < tree
/// done
/// ```
const GOLDEN: [(u64, &str, u64, &str); 5] = [
    (
        1,
        "4ce3ecf32c133bf6321901b6092219474b6ac91a19d0304621d629e6bb9987dc",
        0,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ),
    (
        2,
        "7e36519289f06bd70907c8b400c56fccb0e089eb251d935a9b7ee7ba7787dc85",
        4096,
        "dd777dc36041c9ae87714a57e29e3895f69b0ee6fcc19006f6aaed46d060b1e0",
    ),
    (
        128,
        "af707baf273fabdd52780908cb444858f279708a395e169c8dc25592e1dae9f7",
        4096,
        "8e79cc2ba3e3a965644472a3cd40fbe87c51a735ba532ad1d5e0bf30c0c46aa8",
    ),
    (
        129,
        "b5ad8a9dd55da570528cb4eb5a1dbec40b24dc114252eb00c238021a6f968fc0",
        12288,
        "fd01e86860d1b21ad58337a86da860728b9add7f2bfd5b003a9402543d003611",
    ),
    (
        16385,
        "2dc6d42726cb35d7aadc6fe1b4173c08d90375bdb6ae7669b07fa7c10c96180c",
        540_672,
        "45f3eca43ab10684794615fb6483460d690063b8aa5ac5c2075867f6cd69704d",
    ),
];

#[test]
fn trees_are_those_of_veritysetup() {
    for (blocks, root_hash, len, digest) in GOLDEN {
        // One call (parallel from 1 MiB on) and pieces that are no whole blocks.
        for split in [usize::MAX, 100_001] {
            let tree = build(&data(blocks), split);
            assert_eq!(tree.root_hash.to_string(), root_hash, "{blocks} blocks");
            assert_eq!(Sha256::of(&tree.bytes).to_string(), digest, "{blocks} blocks");
            assert_eq!((tree.bytes.len() as u64, tree_len(blocks * BLOCK)), (len, len), "{blocks} blocks");
        }
    }
}

#[test]
fn lengths_that_no_root_has_are_refused() {
    for found in [0, 1, 4095, 4097, ROOT_MAX + BLOCK, u64::MAX] {
        assert_eq!(Builder::new(salt(), found).err(), Some(VerityError::DataLen { found }));
    }
}

#[test]
fn the_announced_amount_must_come() {
    let amount = |pieces: &[usize]| {
        let mut builder = Builder::new(salt(), 2 * BLOCK).unwrap();
        pieces.iter().for_each(|len| builder.update(&vec![7; *len]));
        builder.finish().map(|_| ())
    };
    assert_eq!(amount(&[4096, 0, 4096]), Ok(()));
    assert_eq!(amount(&[]), Err(VerityError::Amount { expected: 8192, found: 0 }));
    assert_eq!(amount(&[8191]), Err(VerityError::Amount { expected: 8192, found: 8191 }));
    assert_eq!(amount(&[8193]), Err(VerityError::Amount { expected: 8192, found: 8193 }));
    assert_eq!(amount(&[4097, 4096, 1]), Err(VerityError::Amount { expected: 8192, found: 8194 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn splits_do_not_matter(blocks in 1u64..300, cuts in prop::collection::vec(0usize..9000, 0..50)) {
        let data = data(blocks);
        let mut builder = Builder::new(salt(), data.len() as u64).unwrap();
        let mut rest = data.as_slice();
        for cut in cuts {
            let (piece, tail) = rest.split_at(cut.min(rest.len()));
            builder.update(piece);
            rest = tail;
        }
        builder.update(rest);
        prop_assert_eq!(builder.finish().unwrap(), build(&data, usize::MAX));
    }

    #[test]
    fn every_byte_counts(blocks in 1u64..300, at in any::<prop::sample::Index>()) {
        let mut data = data(blocks);
        let before = build(&data, usize::MAX).root_hash;
        let at = at.index(data.len());
        data[at] ^= 1;
        prop_assert_ne!(build(&data, usize::MAX).root_hash, before);
    }
}

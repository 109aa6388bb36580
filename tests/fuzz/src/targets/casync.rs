//! What `imgtool import` reads that casync or desync wrote.

use image_tool::fuzzing;

/// Largest artifact that an index may describe.
const SIZE_MAX: u64 = 16 << 30;

/// An index, `.caibx`.
pub fn caibx(bytes: &[u8]) {
    let Ok((size, written)) = fuzzing::caibx(bytes) else { return };
    assert!(size <= SIZE_MAX, "{size}");
    // Flags that say nothing here are not kept; all else is.
    assert_eq!(written.len(), bytes.len());
    assert!(written[..16] == bytes[..16] && written[24..] == bytes[24..]);
    assert_eq!(fuzzing::caibx(&written), Ok((size, written.clone())));
}

/// A chunk, `.cacnk`: its id, its length, the file.
pub fn cacnk(bytes: &[u8]) {
    let Some((id, rest)) = bytes.split_first_chunk::<32>() else { return };
    let Some((len, file)) = rest.split_first_chunk::<4>() else { return };
    let len = u32::from_le_bytes(*len) % (1 << 20);
    if let Ok(plain) = fuzzing::cacnk(*id, len, file) {
        assert_eq!(plain.len(), len as usize);
        assert_eq!(&fuzzing::cacnk_of(&plain)[..32], id);
    }
}

/// Valid inputs.
pub mod seeds {
    use image_tool::fuzzing;

    /// That of an empty file, and one with three chunks, by SHA-256 and by SHA-512/256.
    pub fn caibx() -> Vec<Vec<u8>> {
        const CHUNKS: [(u64, u8); 3] = [(65_536, 1), (327_680, 2), (327_685, 3)];
        let index = |flags: u64, chunks: &[(u64, u8)]| {
            let mut bytes = Vec::new();
            let mut put = |number: u64| bytes.extend_from_slice(&number.to_le_bytes());
            [48, 0x9682_4d9c_7b12_9ff9, flags, 16_384, 65_536, 262_144].into_iter().for_each(&mut put);
            [u64::MAX, 0xe75b_9e11_2f17_417d].into_iter().for_each(&mut put);
            for (end, id) in chunks {
                put(*end);
                [u64::from_le_bytes([*id; 8]); 4].into_iter().for_each(&mut put);
            }
            let len = 16 + 40 * (chunks.len() as u64 + 1);
            [0, 0, 48, len, 0x4b4f_050e_5549_ecd1].into_iter().for_each(&mut put);
            bytes
        };
        vec![
            index(0xb000_0000_0000_0000, &[]),
            index(0x9000_0000_0000_0000, &CHUNKS),
            index(0x2 << 60, &CHUNKS),
        ]
    }

    /// Text and zeros.
    pub fn cacnk() -> Vec<Vec<u8>> {
        vec![fuzzing::cacnk_of(&b"bascule ".repeat(100)), fuzzing::cacnk_of(&[0; 4096])]
    }
}

//! Naming what is on a disk that is not ours, for the text of a refusal.
//!
//! This is no detection to decide by: everything that is neither zero nor our layout is refused, named or not.

use std::io;

use super::ALIGN;
use crate::device::Device;

/// File systems and the like by their magic: name, offset, bytes.
const MAGICS: &[(&str, usize, &[u8])] = &[
    ("an XFS file system", 0, b"XFSB"),
    ("an ext2/3/4 file system", 0x438, &[0x53, 0xef]),
    ("a Btrfs file system", 0x1_0040, b"_BHRfS_M"),
    ("an EROFS file system", 1024, &[0xe2, 0xe1, 0xf5, 0xe0]),
    ("a SquashFS file system", 0, b"hsqs"),
    ("an F2FS file system", 1024, &[0x10, 0x20, 0xf5, 0xf2]),
    ("an ISO 9660 file system", 0x8001, b"CD001"),
    ("a LUKS container", 0, b"LUKS\xba\xbe"),
    ("an LVM physical volume", 512, b"LABELONE"),
    ("a Linux RAID member", 4096, &[0xfc, 0x4e, 0x2b, 0xa9]),
    ("swap space", 4086, b"SWAPSPACE2"),
    ("an NTFS file system", 3, b"NTFS    "),
    ("an exFAT file system", 3, b"EXFAT   "),
    ("a FAT file system", 82, b"FAT32   "),
    ("a FAT file system", 54, b"FAT16   "),
];

/// What the first and the last MiB look like.
pub(super) fn describe(disk: &dyn Device, first: &[u8], last: &[u8]) -> io::Result<String> {
    if let Some((name, _, _)) = MAGICS.iter().find(|(_, offset, magic)| first[*offset..].starts_with(magic)) {
        return Ok((*name).to_owned());
    }
    if first[512..].starts_with(b"EFI PART") || last[last.len() - 512..].starts_with(b"EFI PART") {
        return Ok("a damaged GPT partition table".to_owned());
    }
    if first[510..512] == [0x55, 0xaa] {
        return Ok(describe_mbr(&first[446..510]));
    }
    let position = |bytes: &[u8]| bytes.iter().position(|byte| *byte != 0);
    let at = match (position(first), position(last)) {
        (Some(at), _) => at as u64,
        (None, at) => disk.len() - ALIGN + at.unwrap_or(0) as u64,
    };
    Ok(format!("unknown data (first byte that is not zero at {at})"))
}

fn describe_mbr(entries: &[u8]) -> String {
    let used: Vec<String> = entries
        .chunks_exact(16)
        .filter(|entry| entry[4] != 0)
        .map(|entry| {
            let sectors = u32::from_le_bytes([entry[12], entry[13], entry[14], entry[15]]);
            format!("type {:02x} ({} MiB)", entry[4], sectors / 2048)
        })
        .collect();
    match used.as_slice() {
        [] => "an MBR boot sector without partitions".to_owned(),
        [_, ..] => format!("an MBR partition table with {} partitions: {}", used.len(), used.join(", ")),
    }
}

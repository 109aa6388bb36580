//! Directory contents: blocks of entries, each block with its names behind its entries, sorted by name over all blocks.

use super::BLOCK_LEN;

/// Bytes of an entry without its name: inode number (8), offset of the name (2), file type (1), zero (1).
const ENTRY_LEN: usize = 12;

/// An entry: name, inode number, file type.
pub(super) struct Entry<'n> {
    pub(super) name: &'n str,
    pub(super) nid: u64,
    pub(super) file_type: u8,
}

/// The directory's bytes: all blocks but the last are full. `entries` are sorted by the bytes of their names, `.` and
/// `..` among them. Their length does not depend on the inode numbers.
pub(super) fn encode(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let count = fitting(rest);
        let (block, behind) = rest.split_at(count);
        bytes.resize(bytes.len().next_multiple_of(BLOCK_LEN), 0);
        encode_block(block, &mut bytes);
        rest = behind;
    }
    bytes
}

/// How many of `entries` one block holds.
fn fitting(entries: &[Entry<'_>]) -> usize {
    let mut used = 0;
    let fits = |entry: &&Entry<'_>| {
        used += ENTRY_LEN + entry.name.len();
        used <= BLOCK_LEN
    };
    entries.iter().take_while(fits).count()
}

fn encode_block(entries: &[Entry<'_>], bytes: &mut Vec<u8>) {
    let mut name_offset = entries.len() * ENTRY_LEN;
    for entry in entries {
        bytes.extend_from_slice(&entry.nid.to_le_bytes());
        bytes.extend_from_slice(&(name_offset as u16).to_le_bytes());
        bytes.extend_from_slice(&[entry.file_type, 0]);
        name_offset += entry.name.len();
    }
    for entry in entries {
        bytes.extend_from_slice(entry.name.as_bytes());
    }
}

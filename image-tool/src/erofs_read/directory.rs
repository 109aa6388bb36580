//! Directory contents: blocks of entries, each block with its names behind its entries, sorted by name over all blocks.

use image_format::BLOCK;

use super::{ErofsError, Fields};

/// Bytes of an entry without its name: inode number (8), offset of the name (2), file type (1), zero (1).
const ENTRY_LEN: usize = 12;

/// The names and inode numbers in a directory, in order, without `.` and `..`.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<(String, u64)>, ErofsError> {
    let mut entries = Vec::new();
    let mut last: &[u8] = b"";
    for block in bytes.chunks(BLOCK as usize) {
        for_each(block, &mut |name, nid| {
            if name <= last {
                let found = format!("{:?} behind {:?}", text(name), text(last));
                return Err(ErofsError::new("directory", "names in order, each once", found));
            }
            last = name;
            match name {
                b"." | b".." => Ok(()),
                name if name.contains(&b'/') => {
                    Err(ErofsError::new("directory", "a name of one segment", format!("{:?}", text(name))))
                }
                name => {
                    let name = std::str::from_utf8(name).map_err(|_| {
                        ErofsError::new("directory", "a name in UTF-8", format!("{:?}", text(name)))
                    })?;
                    entries.push((name.to_owned(), nid));
                    Ok(())
                }
            }
        })?;
    }
    Ok(entries)
}

/// Gives the entries of a block. Names are not empty and have no NUL.
fn for_each<'b>(
    block: &'b [u8],
    give: &mut dyn FnMut(&'b [u8], u64) -> Result<(), ErofsError>,
) -> Result<(), ErofsError> {
    let refuse = |found: String| Err(ErofsError::new("directory", "entries and names in a block", found));
    if block.len() < ENTRY_LEN {
        return refuse(format!("a block of {} bytes", block.len()));
    }
    let name_at = |entry: usize| usize::from(Fields(block).u16(entry * ENTRY_LEN + 8));
    let names = name_at(0);
    if names == 0 || names % ENTRY_LEN != 0 || names > block.len() {
        return refuse(format!("names from byte {names} on"));
    }
    let count = names / ENTRY_LEN;
    let mut start = names;
    for entry in 0..count {
        let end = if entry + 1 < count { name_at(entry + 1) } else { block.len() };
        if end <= start || end > block.len() {
            return refuse(format!("a name from byte {start} to {end}"));
        }
        let mut name = &block[start..end];
        if entry + 1 == count {
            let len = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
            name = &name[..len];
        }
        if name.is_empty() || name.contains(&0) {
            return refuse(format!("the name {:?}", text(name)));
        }
        give(name, Fields(block).u64(entry * ENTRY_LEN))?;
        start = end;
    }
    Ok(())
}

fn text(name: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(name)
}

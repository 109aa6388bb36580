//! The format of a pack file: many small objects in one file.
//!
//! ```text
//! objects, one directly behind the other, as stored
//! table:  per object, in the order of the ids: id 32 | offset u64 | length u32
//! footer: magic "BSCLPCK1" | objects u32 | offset of the table u64 | BLAKE3 of the table 32
//! ```
//!
//! Numbers are little-endian. The file's name is the BLAKE3 of its table in hexadecimal, and `.pack`: a table that is damaged, or
//! that stands under another name, is noticed before it is used. Objects are not covered by it: whoever reads one compares its
//! own digest.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::ObjectId;

/// Objects of this many bytes and more are files of their own.
pub(crate) const PACKED_MAX: u64 = 1 << 20;

/// After this many bytes of objects a new pack begins.
pub(super) const PACK_LEN: u64 = 128 << 20;

/// Most objects in a pack. Bounds what a foreign table makes a reader allocate: 11 MiB.
pub(super) const PACK_OBJECTS_MAX: u32 = 1 << 18;

/// Largest object that is looked for in a pack with a damaged table.
const OBJECT_MAX: u64 = 16 << 20;

const MAGIC: &[u8; 8] = b"BSCLPCK1";
const ROW_LEN: usize = 44;
const FOOTER_LEN: usize = 8 + 4 + 8 + 32;
const SUFFIX: &str = ".pack";

/// The name of a pack: the digest of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PackId([u8; 32]);

impl PackId {
    fn of(table: &[u8]) -> Self {
        Self(*blake3::hash(table).as_bytes())
    }

    /// Reads a file name; nothing else than the one spelling of it.
    pub(super) fn of_file_name(name: &str) -> Option<Self> {
        let id: ObjectId = name.strip_suffix(SUFFIX)?.parse().ok()?;
        Some(Self(*id.as_bytes()))
    }

    /// `<64 hex>.pack`.
    pub(super) fn file_name(self) -> String {
        format!("{}{SUFFIX}", ObjectId::from_bytes(self.0))
    }
}

/// Where an object lies in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: ObjectId,
    pub(super) offset: u64,
    pub(super) len: u32,
}

/// Why a file is no pack that can be used.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Not a file that can be opened and read.
    #[error("cannot be read")]
    Io(#[from] io::Error),
    /// Something else than a regular file.
    #[error("expected a regular file, found {found}")]
    NotAFile {
        /// What it is.
        found: &'static str,
    },
    /// Too short, or of another format.
    #[error("expected a pack's footer in the last {FOOTER_LEN} bytes")]
    Footer,
    /// More objects than a pack may have, or a table that does not end where the footer begins.
    #[error("{count} objects and a table at {table} do not fit a file of {len} bytes")]
    Length {
        /// Objects by the footer.
        count: u32,
        /// Offset of the table by the footer.
        table: u64,
        /// Bytes of the file.
        len: u64,
    },
    /// The table is not what the footer or the file's name says.
    #[error("the table's digest is another than the {said_by} says")]
    TableDigest {
        /// `footer` or `file name`.
        said_by: &'static str,
    },
    /// The ids do not ascend.
    #[error("the table is out of order at entry {entry}")]
    Order {
        /// Number of the entry.
        entry: usize,
    },
    /// An object does not begin where another ends.
    #[error("object {id} at {offset}: expected the next one at {expected}")]
    Extent {
        /// The object.
        id: ObjectId,
        /// Where it is said to begin.
        offset: u64,
        /// Where the one before it ends; the table's offset for one that reaches into it.
        expected: u64,
    },
}

/// Table and footer behind objects of `len` bytes. `rows` get into order.
pub(super) fn encode(rows: &mut [Row], len: u64) -> (PackId, Vec<u8>) {
    rows.sort_unstable_by_key(|row| row.id);
    let mut bytes = Vec::with_capacity(rows.len() * ROW_LEN + FOOTER_LEN);
    for row in rows.iter() {
        bytes.extend_from_slice(row.id.as_bytes());
        bytes.extend_from_slice(&row.offset.to_le_bytes());
        bytes.extend_from_slice(&row.len.to_le_bytes());
    }
    let id = PackId::of(&bytes);
    let count = u32::try_from(rows.len()).expect("a pack has at most PACK_OBJECTS_MAX objects");
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&id.0);
    (id, bytes)
}

/// Reads the table of a pack of `len` bytes that is named `name`: in order, and the objects fill the file up to the table.
pub(super) fn read_table(file: &File, len: u64, name: PackId) -> Result<Vec<Row>, PackError> {
    let at = len.checked_sub(FOOTER_LEN as u64).ok_or(PackError::Footer)?;
    let mut footer = [0; FOOTER_LEN];
    file.read_exact_at(&mut footer, at)?;
    let (magic, rest) = split::<8>(&footer);
    let (count, rest) = split::<4>(rest);
    let (table, rest) = split::<8>(rest);
    let (digest, _) = split::<32>(rest);
    if &magic != MAGIC {
        return Err(PackError::Footer);
    }
    let (count, table) = (u32::from_le_bytes(count), u64::from_le_bytes(table));
    let table_len = u64::from(count) * ROW_LEN as u64;
    if count > PACK_OBJECTS_MAX || table.checked_add(table_len) != Some(at) {
        return Err(PackError::Length { count, table, len });
    }
    let mut bytes = vec![0; count as usize * ROW_LEN];
    file.read_exact_at(&mut bytes, table)?;
    let found = PackId::of(&bytes);
    for (said, said_by) in [(PackId(digest), "footer"), (name, "file name")] {
        if found != said {
            return Err(PackError::TableDigest { said_by });
        }
    }
    let rows: Vec<Row> = bytes.chunks_exact(ROW_LEN).map(row).collect();
    check(&rows, table)?;
    Ok(rows)
}

/// What a pack of `len` bytes with a damaged table may hold: rows of which nothing is known but that they lie in the file. Whoever
/// reads an object compares its digest.
pub(super) fn salvage(file: &File, len: u64) -> Vec<Row> {
    let Some(at) = len.checked_sub(FOOTER_LEN as u64) else { return Vec::new() };
    let mut footer = [0; FOOTER_LEN];
    if file.read_exact_at(&mut footer, at).is_err() {
        return Vec::new();
    }
    let (_, rest) = split::<8>(&footer);
    let (count, rest) = split::<4>(rest);
    let (table, _) = split::<8>(rest);
    // One of the two may be damaged as well: they say the same.
    let by_count = at.checked_sub(u64::from(u32::from_le_bytes(count)) * ROW_LEN as u64);
    let by_offset = Some(u64::from_le_bytes(table)).filter(|table| *table <= at);
    let starts = [by_count, by_offset];
    let fits = |start: &u64| (at - start) / ROW_LEN as u64 <= PACK_OBJECTS_MAX.into();
    let tables = starts.into_iter().flatten().filter(fits).map(|start| rows_inside(file, start, at));
    // A table elsewhere is noise, of which hardly anything lies inside.
    let mut rows = tables.max_by_key(Vec::len).unwrap_or_default();
    rows.sort_unstable_by_key(|row| row.offset);
    rows
}

/// The rows of a table from `start` to `end` that lie in front of it.
fn rows_inside(file: &File, start: u64, end: u64) -> Vec<Row> {
    let mut bytes = vec![0; (end - start) as usize / ROW_LEN * ROW_LEN];
    if file.read_exact_at(&mut bytes, start).is_err() {
        return Vec::new();
    }
    let inside = |row: &Row| {
        let ends = row.offset.checked_add(row.len.into());
        u64::from(row.len) <= OBJECT_MAX && ends.is_some_and(|ends| ends <= start)
    };
    bytes.chunks_exact(ROW_LEN).map(row).filter(inside).collect()
}

fn row(bytes: &[u8]) -> Row {
    let (id, rest) = split::<32>(bytes);
    let (offset, rest) = split::<8>(rest);
    let (len, _) = split::<4>(rest);
    Row { id: ObjectId::from_bytes(id), offset: u64::from_le_bytes(offset), len: u32::from_le_bytes(len) }
}

/// The first `N` bytes, and the rest. The callers' slices have constant lengths.
fn split<const N: usize>(bytes: &[u8]) -> ([u8; N], &[u8]) {
    let (first, rest) = bytes.split_first_chunk().expect("the field lies in the slice");
    (*first, rest)
}

fn check(rows: &[Row], table: u64) -> Result<(), PackError> {
    if let Some(entry) = rows.windows(2).position(|pair| pair[0].id >= pair[1].id) {
        return Err(PackError::Order { entry: entry + 1 });
    }
    let mut extents: Vec<&Row> = rows.iter().collect();
    extents.sort_unstable_by_key(|row| (row.offset, row.len));
    let mut expected = 0;
    for row in &extents {
        let end = row.offset.checked_add(row.len.into()).filter(|end| *end <= table);
        if row.offset != expected || end.is_none() {
            return Err(PackError::Extent { id: row.id, offset: row.offset, expected });
        }
        expected += u64::from(row.len);
    }
    match extents.last() {
        Some(last) if expected != table => {
            Err(PackError::Extent { id: last.id, offset: last.offset, expected: table })
        }
        None if table != 0 => Err(PackError::Length { count: 0, table, len: table + FOOTER_LEN as u64 }),
        _ => Ok(()),
    }
}

//! The table of segments.
//!
//! Binary, little endian, itself a stored object:
//!
//! | bytes | content |
//! | --- | --- |
//! | 8 | `BSCLSEG1` |
//! | 32 | object id of the base image's index; zero: none |
//! | 32 | object id of the target image's index |
//! | 4 | number of segments |
//! | 4 | zero |
//!
//! and for each segment: object id (32), stored length (4), plain length (4), number of base ranges (4), number of entry runs
//! (4), the base ranges (first block 4, blocks 4), the entry runs (first entry 4, entries 4).
//!
//! Invariants of a [`SegmentTable`]: lengths within the limits of the module above; ranges and runs not empty; runs ascend within
//! a segment; base ranges only where there is a base. Whether they fit two images says [`SegmentTable::check`].

use super::{PatchError, SEGMENT_BASE_MAX, SEGMENT_PLAIN_MAX, SEGMENT_STORED_MAX, TABLE_MAX};
use crate::index::Index;
use crate::{BLOCK, ObjectId};

const MAGIC: &[u8; 8] = b"BSCLSEG1";
const HEADER: usize = 80;
const SEGMENT: usize = 48;
const RANGE: usize = 8;
const NONE: [u8; 32] = [0; 32];

/// Blocks of [`BLOCK`] bytes of the base's root image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRange {
    /// The first.
    pub first: u32,
    /// How many, at least 1.
    pub count: u32,
}

/// Entries of the target's index, none of them a zero entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRun {
    /// The first.
    pub first: u32,
    /// How many, at least 1.
    pub count: u32,
}

impl EntryRun {
    /// Their numbers.
    pub fn entries(self) -> std::ops::Range<usize> {
        self.first as usize..self.first as usize + self.count as usize
    }
}

/// Some entries of the target in one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The frame, a stored object.
    pub object: ObjectId,
    /// Its length.
    pub stored_len: u32,
    /// Sum of the plain lengths of the entries.
    pub plain_len: u32,
    /// What stands before the plain bytes for the decompressor, one behind the other.
    pub base: Vec<BlockRange>,
    /// What it decodes to, one behind the other.
    pub entries: Vec<EntryRun>,
}

impl Segment {
    /// The numbers of its entries, in order.
    pub fn entry_numbers(&self) -> impl Iterator<Item = usize> {
        self.entries.iter().flat_map(|run| run.entries())
    }

    /// Bytes of the base that it builds on.
    pub fn base_len(&self) -> u64 {
        self.base.iter().map(|range| u64::from(range.count) * BLOCK).sum()
    }

    fn check(&self, number: usize, has_base: bool) -> Result<(), PatchError> {
        let refuse = |expected: String, found: String| Err(PatchError::Segment { number, expected, found });
        if !(1..=SEGMENT_STORED_MAX).contains(&self.stored_len) {
            return refuse(format!("1 to {SEGMENT_STORED_MAX} stored bytes"), self.stored_len.to_string());
        }
        if !(1..=SEGMENT_PLAIN_MAX).contains(&self.plain_len) {
            return refuse(format!("1 to {SEGMENT_PLAIN_MAX} plain bytes"), self.plain_len.to_string());
        }
        if self.base_len() > SEGMENT_BASE_MAX.into() {
            let found = self.base_len().to_string();
            return refuse(format!("at most {SEGMENT_BASE_MAX} bytes of the base"), found);
        }
        if !has_base && !self.base.is_empty() {
            return refuse("no base".to_owned(), format!("{} base ranges", self.base.len()));
        }
        if let Some(range) = self.base.iter().find(|range| range.count == 0) {
            return refuse("base ranges that are not empty".to_owned(), format!("{range:?}"));
        }
        if self.entries.is_empty() {
            return refuse("entries".to_owned(), "none".to_owned());
        }
        let mut next = 0;
        for run in &self.entries {
            let end = u64::from(run.first) + u64::from(run.count);
            if run.count == 0 || u64::from(run.first) < next || end > u64::from(u32::MAX) {
                return refuse(format!("a run of entries from {next} on"), format!("{run:?}"));
            }
            next = end;
        }
        Ok(())
    }

    fn fits(
        &self,
        number: usize,
        target: &Index,
        base: Option<&Index>,
        covered: &mut [bool],
    ) -> Result<(), PatchError> {
        let refuse = |expected: String, found: String| Err(PatchError::Segment { number, expected, found });
        let mut plain_len = 0;
        for entry_number in self.entry_numbers() {
            let Some(entry) = target.entries().get(entry_number).filter(|entry| !entry.is_zero()) else {
                let last = target.entries().len() - 1;
                return refuse(format!("data entries of 0 to {last}"), entry_number.to_string());
            };
            if std::mem::replace(&mut covered[entry_number], true) {
                return refuse("each entry once".to_owned(), format!("entry {entry_number} again"));
            }
            plain_len += u64::from(entry.plain_len);
        }
        if plain_len != u64::from(self.plain_len) {
            return refuse(format!("{plain_len} plain bytes"), self.plain_len.to_string());
        }
        let blocks = base.map_or(0, |base| base.plain_size() / BLOCK);
        let end = |range: &BlockRange| u64::from(range.first) + u64::from(range.count);
        match self.base.iter().find(|range| end(range) > blocks) {
            Some(range) => refuse(format!("blocks of the {blocks} of the base"), format!("{range:?}")),
            None => Ok(()),
        }
    }
}

/// Segments by which one who has the base gets the target, or parts of it; see the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentTable {
    base: Option<ObjectId>,
    target: ObjectId,
    segments: Vec<Segment>,
}

impl SegmentTable {
    /// A table of these segments. `base` and `target` are the object ids of the images' indexes.
    ///
    /// # Errors
    /// [`PatchError`] when a segment breaks an invariant of the module, or the table would be longer than [`TABLE_MAX`].
    pub fn new(base: Option<ObjectId>, target: ObjectId, segments: Vec<Segment>) -> Result<Self, PatchError> {
        let has_base = base.is_some();
        segments.iter().enumerate().try_for_each(|(number, segment)| segment.check(number, has_base))?;
        let table = Self { base, target, segments };
        match table.encoded_len() {
            found if found > TABLE_MAX => {
                Err(PatchError::Length { expected: format!("at most {TABLE_MAX}"), found })
            }
            _ => Ok(table),
        }
    }

    /// Reads a table from bytes that anybody may have sent.
    ///
    /// # Errors
    /// [`PatchError`]; limits are checked before anything is allocated.
    pub fn parse(bytes: &[u8]) -> Result<Self, PatchError> {
        let found = bytes.len() as u64;
        if !(HEADER as u64..=TABLE_MAX).contains(&found) {
            return Err(PatchError::Length { expected: format!("{HEADER} to {TABLE_MAX}"), found });
        }
        let (header, body) = bytes.split_at(HEADER);
        if &header[..8] != MAGIC || header[76..] != [0; 4] {
            let found = header[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            return Err(PatchError::Header { found });
        }
        let base: [u8; 32] = array(&header[8..]);
        let count = u32::from_le_bytes(array(&header[72..])) as usize;
        let mut rest = Rest { bytes: body, total: found };
        rest.need(count, SEGMENT)?;
        let segments = (0..count).map(|_| rest.segment()).collect::<Result<_, _>>()?;
        rest.end()?;
        let base = (base != NONE).then(|| ObjectId::from_bytes(base));
        Self::new(base, ObjectId::from_bytes(array(&header[40..])), segments)
    }

    /// The bytes that [`SegmentTable::parse`] reads.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len() as usize);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(self.base.as_ref().map_or(&NONE[..], |id| id.as_bytes()));
        out.extend_from_slice(self.target.as_bytes());
        let number = |value: u32, out: &mut Vec<u8>| out.extend_from_slice(&value.to_le_bytes());
        // `new` keeps all counts below TABLE_MAX.
        number(self.segments.len() as u32, &mut out);
        number(0, &mut out);
        for segment in &self.segments {
            out.extend_from_slice(segment.object.as_bytes());
            let (ranges, runs) = (segment.base.len() as u32, segment.entries.len() as u32);
            for value in [segment.stored_len, segment.plain_len, ranges, runs] {
                number(value, &mut out);
            }
            for range in &segment.base {
                number(range.first, &mut out);
                number(range.count, &mut out);
            }
            for run in &segment.entries {
                number(run.first, &mut out);
                number(run.count, &mut out);
            }
        }
        out
    }

    fn encoded_len(&self) -> u64 {
        let ranges: usize =
            self.segments.iter().map(|segment| segment.base.len() + segment.entries.len()).sum();
        (HEADER + self.segments.len() * SEGMENT + ranges * RANGE) as u64
    }

    /// Whether the segments fit the images: `target` (its index, of this object id), and the base if there is one. Every entry
    /// at most once, plain lengths as the index says, base ranges inside of the base.
    ///
    /// # Errors
    /// [`PatchError`].
    pub fn check(
        &self,
        (target_id, target): (ObjectId, &Index),
        base: Option<(ObjectId, &Index)>,
    ) -> Result<(), PatchError> {
        let other = |what, expected: Option<ObjectId>, found: Option<ObjectId>| {
            let text = |id: Option<ObjectId>| id.map_or("none".to_owned(), |id| format!("index {id}"));
            Err(PatchError::Other { what, expected: text(expected), found: text(found) })
        };
        if self.target != target_id {
            return other("target", Some(target_id), Some(self.target));
        }
        if self.base.is_some() && self.base != base.map(|(id, _)| id) {
            return other("base", base.map(|(id, _)| id), self.base);
        }
        let mut covered = vec![false; target.entries().len()];
        let base = base.filter(|_| self.base.is_some()).map(|(_, index)| index);
        let mut segments = self.segments.iter().enumerate();
        segments.try_for_each(|(number, segment)| segment.fits(number, target, base, &mut covered))
    }

    /// Object id of the base's index; none for a whole stream.
    pub fn base(&self) -> Option<ObjectId> {
        self.base
    }

    /// Object id of the target's index.
    pub fn target(&self) -> ObjectId {
        self.target
    }

    /// The segments.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Stored bytes of all segments.
    pub fn stored_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.stored_len)).sum()
    }
}

/// What of a table has not been read yet.
struct Rest<'a> {
    bytes: &'a [u8],
    total: u64,
}

impl Rest<'_> {
    /// At least `count` things of `size` bytes must follow.
    fn need(&self, count: usize, size: usize) -> Result<(), PatchError> {
        match count.checked_mul(size) {
            Some(len) if len <= self.bytes.len() => Ok(()),
            _ => Err(PatchError::Length {
                expected: format!("at least {count} times {size} more"),
                found: self.total,
            }),
        }
    }

    fn end(&self) -> Result<(), PatchError> {
        match self.bytes.len() as u64 {
            0 => Ok(()),
            left => Err(PatchError::Length { expected: (self.total - left).to_string(), found: self.total }),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], PatchError> {
        self.need(1, N)?;
        let (head, tail) = self.bytes.split_at(N);
        self.bytes = tail;
        Ok(array(head))
    }

    fn number(&mut self) -> Result<u32, PatchError> {
        self.take().map(u32::from_le_bytes)
    }

    fn segment(&mut self) -> Result<Segment, PatchError> {
        let object = ObjectId::from_bytes(self.take()?);
        let (stored_len, plain_len) = (self.number()?, self.number()?);
        let (ranges, runs) = (self.number()? as usize, self.number()? as usize);
        let base = self.pairs(ranges, |first, count| BlockRange { first, count })?;
        let entries = self.pairs(runs, |first, count| EntryRun { first, count })?;
        Ok(Segment { object, stored_len, plain_len, base, entries })
    }

    fn pairs<T>(&mut self, count: usize, make: fn(u32, u32) -> T) -> Result<Vec<T>, PatchError> {
        self.need(count, RANGE)?;
        (0..count).map(|_| Ok(make(self.number()?, self.number()?))).collect()
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes[..N].try_into().expect("the slice was cut to N bytes")
}

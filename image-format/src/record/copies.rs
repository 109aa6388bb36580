//! The two copies on the partition.

use std::io;

use super::content::{RECORD_FORMAT, Record};
use crate::device::{self, Device, SECTOR};

/// Distance of the two copies, and most bytes of one.
pub const COPY_LEN: u64 = 8 << 20;

/// Longest payload.
pub const RECORD_MAX: u64 = COPY_LEN - HEADER as u64;

const MAGIC: &[u8; 8] = b"BSCLREC1";
const HEADER: usize = 56;

/// Why the record was not saved, or a copy was not read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Never written, or erased.
    #[error("boot record copy {copy}: not written")]
    Absent {
        /// 0 or 1.
        copy: u64,
    },
    /// Torn or damaged.
    #[error("boot record copy {copy}: digest does not match its content")]
    Damaged {
        /// 0 or 1.
        copy: u64,
    },
    /// Whole, but not a record that this code understands.
    #[error("boot record copy {copy}: content not understood: {reason}")]
    Content {
        /// 0 or 1.
        copy: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// More than fits into a copy.
    #[error("boot record: {found} bytes, at most {RECORD_MAX} fit")]
    TooLong {
        /// Bytes needed.
        found: u64,
    },
    /// A record cannot be put into words; only an integer beyond 63 bits does that.
    #[error("boot record: cannot be encoded")]
    Encode(#[source] signing::JsonError),
    /// Other bytes came back than were written.
    #[error("boot record copy {copy}: not the bytes that were written come back")]
    ReadBack {
        /// 0 or 1.
        copy: u64,
    },
    /// The device failed.
    #[error("boot record: access failed")]
    Io(#[from] io::Error),
}

/// What [`load`] found.
#[derive(Debug)]
pub struct Loaded {
    /// The newest valid record.
    pub record: Option<Record>,
    /// What is wrong with copies that should be valid: to be logged, and to be reported when `record` is none.
    pub damage: Vec<RecordError>,
}

struct Copy {
    number: u64,
    sequence: u64,
    payload: Vec<u8>,
}

/// A read that fails once is repeated: going on with the older copy would forget what was saved last.
fn read_again(device: &dyn Device, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    device.read_vec(offset, len).or_else(|_| device.read_vec(offset, len))
}

fn read_copy(device: &dyn Device, number: u64) -> Result<Copy, RecordError> {
    let offset = number * COPY_LEN;
    let head = read_again(device, offset, HEADER)?;
    if !head.starts_with(MAGIC) {
        let blank = head.iter().all(|byte| *byte == 0);
        return Err(if blank {
            RecordError::Absent { copy: number }
        } else {
            RecordError::Damaged { copy: number }
        });
    }
    let mut eight = [0; 8];
    eight.copy_from_slice(&head[8..16]);
    let len = u32::from_le_bytes([head[16], head[17], head[18], head[19]]);
    if u64::from(len) > RECORD_MAX {
        return Err(RecordError::Damaged { copy: number });
    }
    let payload = read_again(device, offset + HEADER as u64, len as usize)?;
    if digest(&head[..24], &payload) != head[24..HEADER] {
        return Err(RecordError::Damaged { copy: number });
    }
    Ok(Copy { number, sequence: u64::from_le_bytes(eight), payload })
}

fn digest(head: &[u8], payload: &[u8]) -> [u8; 32] {
    *blake3::Hasher::new().update(head).update(payload).finalize().as_bytes()
}

fn parse(copy: &Copy) -> Result<Record, RecordError> {
    let content = |reason: String| RecordError::Content { copy: copy.number, reason };
    let value =
        signing::parse(&copy.payload, RECORD_MAX as usize).map_err(|error| content(error.to_string()))?;
    // The format first: a newer one has other fields, and "unknown field" would hide the reason.
    match value.get("format").and_then(signing::Value::as_u64) {
        Some(format) if format == u64::from(RECORD_FORMAT) => {}
        found => return Err(content(format!("format: expected {RECORD_FORMAT}, found {found:?}"))),
    }
    signing::from_value(&value).map_err(|error| content(error.to_string()))
}

/// Valid copies that are understood, the newest first (of equal numbers the first copy, whatever they say), and what is wrong
/// with the others.
fn read_both(device: &dyn Device) -> (Vec<(Copy, Record)>, Vec<RecordError>) {
    let mut valid = Vec::new();
    let mut damage = Vec::new();
    for number in 0..2 {
        match read_copy(device, number).and_then(|copy| parse(&copy).map(|record| (copy, record))) {
            Ok(found) => valid.push(found),
            Err(error) => damage.push(error),
        }
    }
    valid.sort_by_key(|(copy, _)| std::cmp::Reverse(copy.sequence));
    (valid, damage)
}

/// Reads the newest valid record of the partition `device`. A copy that was never written is no damage while the other one is
/// valid or absent too. A device that cannot be read counts as damage of that copy.
pub fn load(device: &dyn Device) -> Loaded {
    let (valid, mut damage) = read_both(device);
    damage.retain(|error| !matches!(error, RecordError::Absent { .. }));
    Loaded { record: valid.into_iter().next().map(|(_, record)| record), damage }
}

/// Saves `record` durably over the copy that does not hold the newest valid one, and reads it back. It is flushed twice: the
/// next save goes over the other copy, and a disk that swallowed one flush would lose both. The second one has nothing to write.
///
/// # Errors
/// [`RecordError`]; then the record that was loaded before is still there.
pub fn save(device: &dyn Device, record: &Record) -> Result<(), RecordError> {
    let payload = signing::to_json(record).map_err(RecordError::Encode)?;
    if payload.len() as u64 > RECORD_MAX {
        return Err(RecordError::TooLong { found: payload.len() as u64 });
    }
    let (valid, _) = read_both(device);
    let (number, sequence) = match valid.first() {
        Some((newest, _)) => (1 - newest.number, newest.sequence.saturating_add(1)),
        None => (0, 1),
    };
    let mut bytes = Vec::with_capacity(HEADER + payload.len() + SECTOR as usize);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    let digest = digest(&bytes, &payload);
    bytes.extend_from_slice(&digest);
    bytes.extend_from_slice(&payload);
    let padded = bytes.len().next_multiple_of(SECTOR as usize).min(COPY_LEN as usize);
    bytes.resize(padded, 0);
    device.write_at(&bytes, number * COPY_LEN)?;
    device.flush()?;
    device.flush()?;
    match read_copy(device, number) {
        Ok(copy) if copy.sequence == sequence && copy.payload == payload => Ok(()),
        _ => Err(RecordError::ReadBack { copy: number }),
    }
}

/// Makes both copies absent. Durable only after a flush.
///
/// # Errors
/// What the device says.
pub fn erase(device: &dyn Device) -> io::Result<()> {
    (0..2).try_for_each(|number| device::zero(device, number * COPY_LEN, SECTOR))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::device::sim::{Fault, SimDevice};

    fn record(n: u32) -> Record {
        let mut record = Record::default();
        record.servers.delivery = Some(format!("http://server-{n}/{}", "x".repeat(1500)));
        record
    }

    fn disk() -> SimDevice {
        SimDevice::new(2 * COPY_LEN)
    }

    #[test]
    fn the_newest_wins_and_copies_alternate() {
        let disk = disk();
        assert!(load(&disk).record.is_none());
        assert!(load(&disk).damage.is_empty());
        for n in 0..5 {
            save(&disk, &record(n)).unwrap();
            assert_eq!(load(&disk).record, Some(record(n)));
        }
        let sequences = [0, 1].map(|number| read_copy(&disk, number).unwrap().sequence);
        assert_eq!(sequences, [5, 4]);
    }

    /// The canonical form of a line break is not JSON, and signed files are full of them.
    #[test]
    fn trusted_files_with_line_breaks_are_read_back() {
        let disk = disk();
        let text = "{\n \"signed\": {}\n}\n\u{1}".to_owned();
        let trusted = Some(crate::record::TrustedText {
            root: text.clone(),
            timestamp: Some(text),
            snapshot: None,
            targets: None,
            delegated: std::collections::BTreeMap::new(),
            assignments: None,
            pin: None,
        });
        let mut record = record(1);
        record.trusted = trusted;
        save(&disk, &record).unwrap();
        assert_eq!(load(&disk).record, Some(record));
    }

    #[test]
    fn a_damaged_copy_loses_and_is_named() {
        let disk = disk();
        save(&disk, &record(1)).unwrap();
        save(&disk, &record(2)).unwrap();
        disk.write_at(b"!", COPY_LEN + 100).unwrap();
        disk.flush().unwrap();
        let loaded = load(&disk);
        assert_eq!(loaded.record, Some(record(1)));
        assert!(matches!(loaded.damage.as_slice(), [RecordError::Damaged { copy: 1 }]));
        // The next save must not touch the only good copy.
        disk.set_fault(Fault::PowerCut { at: 1 });
        assert!(save(&disk, &record(3)).is_err());
        assert_eq!(load(&disk.power_cut(|offset| offset % 1024 == 512)).record, Some(record(1)));
    }

    #[test]
    fn an_unreadable_sector_costs_one_copy() {
        let disk = disk();
        save(&disk, &record(1)).unwrap();
        save(&disk, &record(2)).unwrap();
        disk.break_sector(COPY_LEN);
        let loaded = load(&disk);
        assert_eq!(loaded.record, Some(record(1)));
        assert!(matches!(loaded.damage.as_slice(), [RecordError::Io(_)]));
    }

    #[test]
    fn equal_sequences_are_decided_by_place() {
        let disk = disk();
        save(&disk, &record(1)).unwrap();
        let other = SimDevice::new(2 * COPY_LEN);
        save(&other, &record(2)).unwrap();
        disk.write_at(&other.read_vec(0, 4096).unwrap(), COPY_LEN).unwrap();
        assert_eq!(load(&disk).record, Some(record(1)));
        save(&disk, &record(3)).unwrap();
        assert_eq!(load(&disk).record, Some(record(3)));
    }

    #[test]
    fn a_newer_format_is_named() {
        let disk = disk();
        let mut newer = Record::default();
        newer.format = 2;
        save(&disk, &newer).unwrap();
        let loaded = load(&disk);
        assert!(loaded.record.is_none());
        let text = loaded.damage[0].to_string();
        assert_eq!(text, "boot record copy 0: content not understood: format: expected 1, found Some(2)");
    }

    #[test]
    fn too_long_is_refused_before_writing() {
        let disk = disk();
        let mut long = Record::default();
        long.servers.admin = Some("x".repeat(COPY_LEN as usize));
        assert!(matches!(save(&disk, &long), Err(RecordError::TooLong { .. })));
        assert_eq!(disk.operations(), 0);
    }

    proptest! {
        #[test]
        fn a_cut_at_any_operation_with_any_loss_leaves_old_or_new(cut in 0_u64..4, losses in any::<u64>()) {
            let disk = disk();
            save(&disk, &record(1)).unwrap();
            save(&disk, &record(2)).unwrap();
            disk.set_fault(Fault::PowerCut { at: cut });
            let saved = save(&disk, &record(3));
            let mut losses = losses;
            let after = disk.power_cut(|_| { losses = losses.rotate_left(1); losses & 1 == 1 });
            let found = load(&after).record;
            prop_assert!(found == Some(record(2)) || found == Some(record(3)));
            prop_assert!(saved.is_err() || found == Some(record(3)));
            save(&after, &record(4)).unwrap();
            prop_assert_eq!(load(&after).record, Some(record(4)));
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 56..300)) {
            let disk = disk();
            let mut bytes = bytes;
            bytes[..8].copy_from_slice(MAGIC);
            disk.write_at(&bytes, 0).unwrap();
            prop_assert!(load(&disk).record.is_none());
        }
    }
}

//! The boot record: everything a node must remember from one boot to the next.
//!
//! Two copies, each in its own half of the partition `bascule-record`:
//!
//! ```text
//! 0   magic "BSCLREC1"
//! 8   u64 LE sequence number
//! 16  u32 LE length of the payload
//! 20  u32 LE 0
//! 24  BLAKE3-256 over bytes 0..24 and the payload
//! 56  payload: canonical JSON, [`Record`]
//! ```
//!
//! A save writes the copy that does not hold the newest valid record, with the next sequence number, and flushes twice: a cut at
//! any point leaves the old or the new record, also when one of the flushes did nothing. A torn, corrupt or unreadable copy
//! loses to the other one.
//!
//! One writer at a time: the agent in the initramfs, then the one in the booted system. Not guaranteed: that nobody with
//! access to the disk wrote an older record back.

mod content;
mod copies;
#[cfg(test)]
mod power;

pub use self::content::{Enrolled, Floors, ImageRef, RECORD_FORMAT, Record, Servers, TrustedText};
pub use self::copies::{COPY_LEN, Loaded, RECORD_MAX, RecordError, erase, load, save};

//! The proof area: the end of a slot, which says what the slot holds.
//!
//! ```text
//! 0   magic "BSCLPRF2"
//! 8   u32 LE length of the manifest
//! 12  u32 LE length of the index
//! 16  u32 LE length of the evidence
//! 20  BLAKE3-256 over bytes 0..20 and the three parts
//! 52  12 zero bytes
//! 64  manifest, index, evidence
//! ```
//!
//! It is written last and invalidated first, each with a flush: a valid proof area means that the slot was written and read
//! back completely. The digest tells torn from whole; it does not tell who wrote it. The slot's bytes are checked against
//! the manifest by dm-verity, the manifest against the [evidence](crate::evidence), signed metadata, by the caller.

use std::io;

use crate::device::{self, Device};
use crate::evidence::EVIDENCE_MAX;
use crate::manifest::MANIFEST_MAX;

/// Length of the area in bytes, at the end of the slot partition.
pub const PROOF_LEN: u64 = 16 << 20;

const MAGIC: &[u8; 8] = b"BSCLPRF2";
const HEADER: usize = 64;
const DIGEST_AT: usize = 20;
const DIGEST_END: usize = 52;
const ALIGN: usize = 4096;

/// What a valid proof area holds, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The root index's bytes.
    pub index: Vec<u8>,
    /// The metadata that list the manifest: [`Evidence`](crate::evidence::Evidence).
    pub evidence: Vec<u8>,
}

/// Lengths of the three parts, in their order.
type Lens = [u64; 3];

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The area is shorter than its own length fields say, or than a header.
    #[error("proof area: {found} bytes, expected at least {needed}")]
    Short {
        /// Bytes needed.
        needed: u64,
        /// Bytes there.
        found: u64,
    },
    /// No magic: never written, or invalidated.
    #[error("proof area: not written or invalidated")]
    Absent,
    /// A length field is beyond its limit.
    #[error("proof area: {what} of {found} bytes, at most {max} are allowed")]
    TooLong {
        /// Which part.
        what: &'static str,
        /// The limit.
        max: u64,
        /// What was found.
        found: u64,
    },
    /// Torn or damaged.
    #[error("proof area: digest does not match its content")]
    Damaged,
    /// The device failed.
    #[error("proof area: access failed")]
    Io(#[from] io::Error),
}

fn digest<'a>(head: &[u8], parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(head);
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

fn check_lens([manifest, index, evidence]: Lens) -> Result<(), ProofError> {
    let mut room = PROOF_LEN - HEADER as u64;
    for (what, found, limit) in [
        ("manifest", manifest, MANIFEST_MAX),
        ("evidence", evidence, EVIDENCE_MAX),
        ("index", index, PROOF_LEN),
    ] {
        let max = limit.min(room);
        if found > max {
            return Err(ProofError::TooLong { what, max, found });
        }
        room -= found;
    }
    Ok(())
}

impl Proof {
    fn parts(&self) -> [&[u8]; 3] {
        [&self.manifest, &self.index, &self.evidence]
    }

    /// The bytes of the area, up to a multiple of 4096; the rest of the area is of no meaning.
    ///
    /// # Errors
    /// [`ProofError::TooLong`] when they do not fit into [`PROOF_LEN`].
    pub fn encode(&self) -> Result<Vec<u8>, ProofError> {
        let lens = self.parts().map(|part| part.len() as u64);
        check_lens(lens)?;
        let total: u64 = lens.iter().sum();
        let mut bytes = Vec::with_capacity(HEADER + total as usize + ALIGN);
        bytes.extend_from_slice(MAGIC);
        for len in lens {
            bytes.extend_from_slice(&(len as u32).to_le_bytes());
        }
        let digest = digest(&bytes, self.parts());
        bytes.extend_from_slice(&digest);
        bytes.resize(HEADER, 0);
        self.parts().into_iter().for_each(|part| bytes.extend_from_slice(part));
        bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
        Ok(bytes)
    }

    /// Reads the area that begins at `offset` of a slot.
    ///
    /// # Errors
    /// [`ProofError`]; nothing longer than [`PROOF_LEN`] is read whatever the bytes say.
    pub fn read(slot: &dyn Device, offset: u64) -> Result<Self, ProofError> {
        let room = slot.len().saturating_sub(offset).min(PROOF_LEN);
        if room < HEADER as u64 {
            return Err(ProofError::Short { needed: HEADER as u64, found: room });
        }
        let head = slot.read_vec(offset, HEADER)?;
        if !head.starts_with(MAGIC) {
            return Err(ProofError::Absent);
        }
        let field =
            |at: usize| u64::from(u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        let lens = [field(8), field(12), field(16)];
        check_lens(lens)?;
        let total: u64 = lens.iter().sum();
        let needed = HEADER as u64 + total;
        if needed > room {
            return Err(ProofError::Short { needed, found: room });
        }
        let mut manifest = slot.read_vec(offset + HEADER as u64, total as usize)?;
        let mut index = manifest.split_off(lens[0] as usize);
        let evidence = index.split_off(lens[1] as usize);
        let proof = Self { manifest, index, evidence };
        let whole = head[DIGEST_AT..DIGEST_END] == digest(&head[..DIGEST_AT], proof.parts());
        if !whole || head[DIGEST_END..].iter().any(|byte| *byte != 0) {
            return Err(ProofError::Damaged);
        }
        Ok(proof)
    }

    /// Writes the area, flushes, and reads it again after `cold` has emptied the caches. It flushes before as well: what the area
    /// vouches for is durable even when a flush of the caller did nothing.
    ///
    /// # Errors
    /// [`ProofError::TooLong`] before anything is written; [`ProofError::Damaged`] when other bytes come back.
    pub fn write(
        &self,
        slot: &dyn Device,
        offset: u64,
        cold: &dyn Fn() -> io::Result<()>,
    ) -> Result<(), ProofError> {
        let bytes = self.encode()?;
        slot.flush()?;
        slot.write_at(&bytes, offset)?;
        slot.flush()?;
        cold()?;
        if Self::read(slot, offset)? == *self { Ok(()) } else { Err(ProofError::Damaged) }
    }
}

/// Makes the area at `offset` durably invalid, also when one of the two flushes does nothing.
///
/// # Errors
/// What the device says; then the slot must not be written.
pub fn invalidate(slot: &dyn Device, offset: u64) -> io::Result<()> {
    device::zero(slot, offset, ALIGN as u64)?;
    slot.flush()?;
    slot.flush()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::device::sim::SimDevice;

    fn sample() -> Proof {
        Proof { manifest: vec![b'm'; 700], index: vec![b'i'; 5000], evidence: vec![b'e'; 300] }
    }

    fn slot() -> SimDevice {
        SimDevice::new(PROOF_LEN + 4096)
    }

    #[test]
    fn round_trips_and_can_be_invalidated() {
        let slot = slot();
        assert!(matches!(Proof::read(&slot, 4096), Err(ProofError::Absent)));
        sample().write(&slot, 4096, &|| Ok(())).unwrap();
        assert_eq!(Proof::read(&slot, 4096).unwrap(), sample());
        invalidate(&slot, 4096).unwrap();
        assert!(matches!(Proof::read(&slot, 4096), Err(ProofError::Absent)));
    }

    #[test]
    fn limits_come_before_memory() {
        let slot = slot();
        let mut head = [0xff; HEADER];
        head[..8].copy_from_slice(MAGIC);
        slot.write_at(&head, 0).unwrap();
        assert!(matches!(Proof::read(&slot, 0), Err(ProofError::TooLong { what: "manifest", .. })));
        head[8..12].copy_from_slice(&0_u32.to_le_bytes());
        slot.write_at(&head, 0).unwrap();
        assert!(matches!(Proof::read(&slot, 0), Err(ProofError::TooLong { what: "evidence", .. })));
        head[16..20].copy_from_slice(&0_u32.to_le_bytes());
        slot.write_at(&head, 0).unwrap();
        assert!(matches!(Proof::read(&slot, 0), Err(ProofError::TooLong { what: "index", .. })));
        head[12..16].copy_from_slice(&4096_u32.to_le_bytes());
        slot.write_at(&head, PROOF_LEN).unwrap();
        assert!(matches!(
            Proof::read(&slot, PROOF_LEN),
            Err(ProofError::Short { needed: 4160, found: 4096 })
        ));
        let long = Proof { index: vec![0; PROOF_LEN as usize], ..sample() };
        assert!(matches!(long.encode(), Err(ProofError::TooLong { .. })));
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_noticed(at in 0_usize..64 + 6000, bit in 0_u8..8) {
            let slot = slot();
            let mut bytes = sample().encode().unwrap();
            bytes[at] ^= 1 << bit;
            slot.write_at(&bytes, 0).unwrap();
            prop_assert!(Proof::read(&slot, 0).is_err());
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 64..200)) {
            let slot = slot();
            let mut bytes = bytes;
            slot.write_at(&bytes, 0).unwrap();
            prop_assert!(Proof::read(&slot, 0).is_err());
            bytes[..8].copy_from_slice(MAGIC);
            slot.write_at(&bytes, 0).unwrap();
            prop_assert!(Proof::read(&slot, 0).is_err());
        }
    }
}

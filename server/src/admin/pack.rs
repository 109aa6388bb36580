//! The pack stream of `PUT /v1/objects`: repeated (32-byte id, u32 little-endian length, bytes).

use std::io::{self, Read};

use image_format::ObjectId;

/// Largest object in a pack, in bytes.
pub const OBJECT_MAX: u32 = fleet_protocol::publish::PACK_MAX as u32;

/// Why a pack is refused.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The stream ends within an object.
    #[error("pack: object {id} ends after {found} of {expected} bytes")]
    Short {
        /// Which object.
        id: ObjectId,
        /// Its declared length.
        expected: u32,
        /// Bytes that came.
        found: usize,
    },
    /// The stream ends within an object's id and length.
    #[error("pack: ends after {0} of 36 bytes of an object's head")]
    ShortHead(usize),
    /// An object beyond [`OBJECT_MAX`].
    #[error("pack: object {id}: expected at most {OBJECT_MAX} bytes, found {found}")]
    Long {
        /// Which object.
        id: ObjectId,
        /// Its declared length.
        found: u32,
    },
    /// The stream broke.
    #[error("pack: cannot be read")]
    Read(#[source] io::Error),
}

/// Reads the objects of a pack. Digests are checked by whoever stores them.
#[derive(Debug)]
pub struct Pack<R> {
    reader: R,
}

impl<R: Read> Pack<R> {
    /// A pack that is read from `reader`.
    pub fn new(reader: R) -> Self {
        Self { reader }
    }

    /// The next object; `None` at the end of the pack.
    ///
    /// # Errors
    /// [`PackError`].
    pub fn next_object(&mut self) -> Result<Option<(ObjectId, Vec<u8>)>, PackError> {
        let mut head = Vec::with_capacity(36);
        self.reader.by_ref().take(36).read_to_end(&mut head).map_err(PackError::Read)?;
        if head.is_empty() {
            return Ok(None);
        }
        let (Some(id), Some(length)) = (head.first_chunk::<32>(), head.get(32..36)) else {
            return Err(PackError::ShortHead(head.len()));
        };
        let id = ObjectId::from_bytes(*id);
        let expected = u32::from_le_bytes(length.try_into().expect("the slice has four bytes"));
        if expected > OBJECT_MAX {
            return Err(PackError::Long { id, found: expected });
        }
        // Grows with what arrives, not with what was declared.
        let mut bytes = Vec::new();
        self.reader.by_ref().take(u64::from(expected)).read_to_end(&mut bytes).map_err(PackError::Read)?;
        if bytes.len() == expected as usize {
            Ok(Some((id, bytes)))
        } else {
            Err(PackError::Short { id, expected, found: bytes.len() })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pack(objects: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for object in objects {
            bytes.extend(ObjectId::of(object).as_bytes());
            bytes.extend(u32::try_from(object.len()).unwrap().to_le_bytes());
            bytes.extend(object);
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<(ObjectId, Vec<u8>)>, PackError> {
        let mut pack = Pack::new(bytes);
        let mut objects = Vec::new();
        while let Some(object) = pack.next_object()? {
            objects.push(object);
        }
        Ok(objects)
    }

    #[test]
    fn an_announced_giant_is_refused_before_it_is_read() {
        let mut bytes = vec![0; 32];
        bytes.extend(u32::MAX.to_le_bytes());
        assert!(matches!(read(&bytes), Err(PackError::Long { found: u32::MAX, .. })));
    }

    proptest! {
        #[test]
        fn whole_packs_round_trip_and_cut_ones_are_refused(
            objects in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..5),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = pack(&objects);
            let found = read(&bytes).unwrap();
            prop_assert_eq!(&found.iter().map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>(), &objects);
            prop_assert!(found.iter().all(|(id, bytes)| ObjectId::of(bytes) == *id));
            if !bytes.is_empty() {
                let length = cut.index(bytes.len());
                let boundary = (0..=objects.len()).any(|count| pack(&objects[..count]).len() == length);
                prop_assert_eq!(read(&bytes[..length]).is_ok(), boundary);
            }
        }
    }
}

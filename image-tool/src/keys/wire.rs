//! The data types of SSH (RFC 4251, section 5): 32-bit numbers, and strings with their length in front.

/// Text before the number of keys in an OpenSSH private key file, and the name of the only key type read here.
pub(super) const ED25519: &[u8] = b"ssh-ed25519";

/// Reads from the front of a message. Every method gives `None` when the message is too short.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl<'b> Reader<'b> {
    /// The next `count` bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'b [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    /// One byte.
    pub(super) fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    /// A number, big-endian.
    pub(super) fn number(&mut self) -> Option<u32> {
        let bytes = self.bytes(4)?.try_into().expect("four bytes were taken");
        Some(u32::from_be_bytes(bytes))
    }

    /// A string.
    pub(super) fn string(&mut self) -> Option<&'b [u8]> {
        let length = self.number()?;
        self.bytes(usize::try_from(length).ok()?)
    }

    /// Whether everything was read.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Appends a string; `None` if it is too long for its length field.
pub(super) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    out.extend(u32::try_from(bytes.len()).ok()?.to_be_bytes());
    out.extend(bytes);
    Some(())
}

/// The 32 bytes of an `ssh-ed25519` public key blob; `None` for every other blob.
pub(super) fn ed25519_blob(blob: &[u8]) -> Option<[u8; 32]> {
    let mut reader = Reader(blob);
    if reader.string()? != ED25519 {
        return None;
    }
    let key = reader.string()?.try_into().ok()?;
    reader.is_empty().then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_messages_give_nothing() {
        let mut blob = Vec::new();
        put_string(&mut blob, ED25519).unwrap();
        put_string(&mut blob, &[7; 32]).unwrap();
        assert_eq!(ed25519_blob(&blob), Some([7; 32]));
        for end in 0..blob.len() {
            assert_eq!(ed25519_blob(&blob[..end]), None, "{end} bytes");
        }
        assert_eq!(ed25519_blob(&[&blob[..], &[0]].concat()), None);
        assert_eq!(Reader(&[0xff, 0xff, 0xff, 0xff, 1]).string(), None);
    }
}

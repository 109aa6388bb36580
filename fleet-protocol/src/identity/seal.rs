//! What a node signs, as it is sent:
//!
//! ```text
//! WORD SP key (64 hex) SP signature (128 hex) LF payload
//! ```
//! The signature is over `WORD LF payload`. One spelling only: what does not print back to the same bytes is refused.

use super::key::{NodeKeyError, NodePublicKey};
use signing::hex;

/// Longest first line with its line feed, in bytes: the longest word, key, signature, two spaces.
pub const HEAD_MAX: usize = 24 + 64 + 128 + 3;

/// What every word begins with; JSON never does.
const WORDS: &[u8] = b"bascule-";

/// What kind of message is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A [`super::SignedReport`].
    Report,
    /// An [`super::Enrol`].
    Enrol,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Report, Self::Enrol];

    /// The word that begins the message, and what is signed.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Report => "bascule-report-1",
            Self::Enrol => "bascule-enrol-1",
        }
    }

    /// The bytes that are signed for `payload`.
    pub(super) fn message(self, payload: &[u8]) -> Vec<u8> {
        [self.word().as_bytes(), b"\n", payload].concat()
    }
}

/// A message whose signature holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened<'a> {
    /// Whose signature it is.
    pub key: NodePublicKey,
    /// What was signed.
    pub payload: &'a [u8],
}

/// Why a signed message is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No such first line.
    #[error("signed message: expected a first line `{} KEY SIGNATURE`", .0.word())]
    Head(Kind),
    /// The key is not usable.
    #[error("signed message")]
    Key(#[source] NodeKeyError),
    /// The signature is not this key's over these bytes.
    #[error("signed message: the signature is not that of key {} over these bytes", .0.short())]
    Signature(NodePublicKey),
}

/// Whether a body claims to be signed, rather than to be JSON.
pub fn is_sealed(body: &[u8]) -> bool {
    body.starts_with(WORDS)
}

/// Verifies a signed message of `kind`, by the strict rules.
///
/// # Errors
/// [`SealError`].
pub fn open(kind: Kind, body: &[u8]) -> Result<Opened<'_>, SealError> {
    let head = || SealError::Head(kind);
    let start = &body[..body.len().min(HEAD_MAX)];
    let end = start.iter().position(|byte| *byte == b'\n').ok_or_else(head)?;
    let line = std::str::from_utf8(&body[..end]).map_err(|_| head())?;
    let rest = line.strip_prefix(kind.word()).and_then(|rest| rest.strip_prefix(' ')).ok_or_else(head)?;
    let (key, signature) = rest.split_once(' ').ok_or_else(head)?;
    let signature = hex::decode::<64>(signature).ok_or_else(head)?;
    let key: NodePublicKey = key.parse().map_err(SealError::Key)?;
    let payload = &body[end + 1..];
    if key.verifies(&kind.message(payload), &signature) {
        Ok(Opened { key, payload })
    } else {
        Err(SealError::Signature(key))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::NodeKey;

    fn key() -> NodeKey {
        NodeKey::from_seed(&[7; 32]).unwrap()
    }

    #[test]
    fn a_message_is_of_one_kind_and_never_metadata() {
        for kind in Kind::ALL {
            let sealed = key().seal(kind, b"{}");
            assert!(is_sealed(&sealed) && sealed.len() <= HEAD_MAX + 2);
            assert_eq!(open(kind, &sealed), Ok(Opened { key: key().public(), payload: b"{}" }));
            let other = if kind == Kind::Report { Kind::Enrol } else { Kind::Report };
            assert_eq!(open(other, &sealed), Err(SealError::Head(other)));
            // The other kind's word over the same signature.
            let text = String::from_utf8(sealed).unwrap().replace(kind.word(), other.word());
            assert_eq!(open(other, text.as_bytes()), Err(SealError::Signature(key().public())));
            assert!(!kind.message(b"{}").starts_with(b"{"));
        }
    }

    /// A signature over the bare payload, as TUF has it, is none here.
    #[test]
    fn a_signature_without_the_word_is_none() {
        let signing = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let signature = ed25519_dalek::Signer::sign(&signing, b"{}").to_bytes();
        let body = format!("bascule-report-1 {} {}\n{{}}", key().public(), hex::encode(&signature));
        assert_eq!(open(Kind::Report, body.as_bytes()), Err(SealError::Signature(key().public())));
    }

    #[test]
    fn malformed_heads_are_refused() {
        let good = String::from_utf8(key().seal(Kind::Report, b"x")).unwrap();
        let head = Err(SealError::Head(Kind::Report));
        for bad in [
            String::new(),
            "bascule-report-1".to_owned(),
            good.replace('\n', ""),
            good.replace('\n', "\r\n"),
            good.replacen(' ', "  ", 1),
            good.replace("report-1", "report-2"),
            format!(" {good}"),
            format!("{}{good}", "a".repeat(HEAD_MAX)),
        ] {
            let found = open(Kind::Report, bad.as_bytes());
            assert!(found == head || matches!(found, Err(SealError::Key(_))), "{bad:?}: {found:?}");
        }
        let upper = good.to_uppercase().replace("BASCULE-REPORT-1", "bascule-report-1");
        assert_eq!(open(Kind::Report, upper.as_bytes()), head);
        let weak = good.replace(&key().public().to_string(), &"0".repeat(64));
        assert!(matches!(open(Kind::Report, weak.as_bytes()), Err(SealError::Key(_))));
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_opens_and_any_changed_byte_does_not(
            payload in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0..8_u8,
        ) {
            let sealed = key().seal(Kind::Report, &payload);
            prop_assert_eq!(open(Kind::Report, &sealed), Ok(Opened { key: key().public(), payload: &payload }));
            let mut changed = sealed.clone();
            changed[at.index(sealed.len())] ^= 1 << bit;
            prop_assert!(open(Kind::Report, &changed).is_err());
            let cut = &sealed[..at.index(sealed.len())];
            prop_assert!(open(Kind::Report, cut).is_err());
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            for kind in Kind::ALL {
                prop_assert!(open(kind, &bytes).is_err());
            }
        }
    }
}

//! Why a node's message does not count.

use super::Message;
use super::numbers::Misuse;

/// The kinds, as metrics and alerts call them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The signature does not hold.
    BadSignature,
    /// It is about another node than the path says.
    WrongNode,
    /// Another key of the node is approved.
    OtherKey,
    /// The key was revoked.
    RevokedKey,
    /// The number is not higher than the last one.
    Replayed,
    /// One key, two machines.
    KeyUsedTwice,
    /// The join token does not let it in.
    JoinRefused,
}

impl Refusal {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::BadSignature,
        Self::WrongNode,
        Self::OtherKey,
        Self::RevokedKey,
        Self::Replayed,
        Self::KeyUsedTwice,
        Self::JoinRefused,
    ];

    /// In one word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::BadSignature => "bad-signature",
            Self::WrongNode => "wrong-node",
            Self::OtherKey => "other-key",
            Self::RevokedKey => "revoked-key",
            Self::Replayed => "replayed",
            Self::KeyUsedTwice => "key-used-twice",
            Self::JoinRefused => "join-refused",
        }
    }

    /// Whether it is about the order of messages, so that the same node may be right next time.
    pub const fn is_conflict(self) -> bool {
        matches!(self, Self::Replayed | Self::KeyUsedTwice)
    }
}

/// A refusal and what was seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", refusal.word())]
pub struct Fault {
    /// The kind.
    pub refusal: Refusal,
    /// One line for people.
    pub message: String,
}

impl Fault {
    /// A fault.
    pub fn new(refusal: Refusal, message: impl Into<String>) -> Self {
        Self { refusal, message: message.into() }
    }

    /// What a number that is not accepted means.
    pub(super) fn of_number(message: &Message, misuse: &Misuse) -> Self {
        let (number, boot) = (message.number, &message.boot);
        match misuse {
            Misuse::Replayed { last } => {
                Self::new(Refusal::Replayed, format!("number {number} again or late; the last one is {last}"))
            }
            Misuse::Fork => {
                Self::new(Refusal::KeyUsedTwice, format!("number {number} was used for another message"))
            }
            Misuse::Behind { last } => Self::new(
                Refusal::KeyUsedTwice,
                format!(
                    "number {number} of unknown boot {boot}, behind {last}: a copied key, or a restored disk"
                ),
            ),
            Misuse::TwoBoots => Self::new(
                Refusal::KeyUsedTwice,
                format!("boot {boot} speaks again after another one: two machines take turns"),
            ),
        }
    }
}

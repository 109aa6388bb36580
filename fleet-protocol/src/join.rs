//! Join tokens: what an admin gives to a new node so that its key is approved without anybody looking.
//!
//! ```text
//! bascule-join-1.ID.SECRET.ROOT[.GROUP]
//! ID      12 lower-case hexadecimal digits: which token
//! SECRET  32 lower-case hexadecimal digits: 128 random bits
//! ROOT    64 lower-case hexadecimal digits: SHA-256 of the repository's first root, which every initramfs embeds
//! GROUP   the group that the node joins, where signed assignments do not name it
//! ```
//! The secret never travels from node to server: the node sends a [`JoinProof`] over its key and its name, so that who listens
//! or relays cannot enrol another key. The server keeps the [`Verifier`], a hash of the secret. Whoever reads the
//! server's database could make proofs with it; he could as well write "approved" there.

use std::fmt;
use std::str::FromStr;

use image_format::name::NameError;
use image_format::{Group, NodeId, Sha256};
use serde::{Deserialize, Serialize};

use crate::identity::NodePublicKey;
use signing::hex;

/// First part of the text form.
pub const JOIN_PREFIX: &str = "bascule-join-1";

/// Longest text form, in bytes: prefix, three numbers, a group, four dots.
pub const JOIN_MAX: usize = JOIN_PREFIX.len() + 12 + 32 + 64 + 64 + 4;

/// Most nodes that one token lets in.
pub const USES_MAX: u32 = 1000;

/// Longest life of a token, in seconds: 30 days.
pub const TTL_MAX: u64 = 30 * 86_400;

const VERIFIER_CONTEXT: &str = "bascule 2026-11 join token verifier";
const PROOF_WORD: &[u8] = b"bascule-join-proof-1\n";

/// Why a text is no join token. The text itself is a secret and never part of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// It does not begin as one.
    #[error("join token: expected it to begin with {JOIN_PREFIX}.")]
    Prefix,
    /// A part is missing, cut or misspelled.
    #[error("join token: expected {digits} lower-case hexadecimal digits as its {part}; is it cut?")]
    Part {
        /// Which part.
        part: &'static str,
        /// How many digits it has.
        digits: usize,
    },
    /// The group is no name.
    #[error("join token: its group is no name; is it cut?")]
    Group(#[source] NameError),
    /// Longer than any.
    #[error("join token: expected at most {JOIN_MAX} bytes, found {0}")]
    TooLong(usize),
}

macro_rules! hex_text {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $part:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Wraps raw bytes.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }
        }

        impl FromStr for $name {
            type Err = JoinError;

            fn from_str(text: &str) -> Result<Self, JoinError> {
                hex::decode(text).map(Self).ok_or(JoinError::Part { part: $part, digits: 2 * $bytes })
            }
        }

        impl TryFrom<String> for $name {
            type Error = JoinError;

            fn try_from(text: String) -> Result<Self, JoinError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                hex::encode(&value.0)
            }
        }
    };
}

hex_text! {
    /// Which token: 12 digits.
    TokenId, 6, "id"
}
hex_text! {
    /// What the server keeps of a token's secret: a hash of it. Nothing prints it.
    Verifier, 32, "verifier"
}
hex_text! {
    /// That a node with this key and this name has the secret: a keyed hash. Nothing prints it.
    JoinProof, 32, "proof"
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(&self.0))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}

impl fmt::Debug for JoinProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinProof(..)")
    }
}

impl Verifier {
    fn proof(&self, node: &NodeId, key: &NodePublicKey) -> blake3::Hash {
        let message = [PROOF_WORD, key.as_bytes(), node.as_str().as_bytes()].concat();
        blake3::keyed_hash(&self.0, &message)
    }

    /// Whether `proof` was made with the secret, for this node and this key; in constant time.
    pub fn accepts(&self, proof: &JoinProof, node: &NodeId, key: &NodePublicKey) -> bool {
        // blake3's comparison takes constant time.
        self.proof(node, key) == blake3::Hash::from_bytes(proof.0)
    }

    /// Whether `other` is of the same secret; in constant time.
    pub fn is(&self, other: &Self) -> bool {
        blake3::Hash::from_bytes(self.0) == blake3::Hash::from_bytes(other.0)
    }
}

/// A join token.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Which token.
    pub id: TokenId,
    secret: [u8; 16],
    /// SHA-256 of the repository's first root.
    pub root: Sha256,
    /// The group that the node joins.
    pub group: Option<Group>,
}

impl JoinToken {
    /// A token of random bytes.
    pub fn new(id: [u8; 6], secret: [u8; 16], root: Sha256, group: Option<Group>) -> Self {
        Self { id: TokenId(id), secret, root, group }
    }

    /// The text form: a secret. There is no `Display`, so that it is not printed by mistake.
    pub fn to_text(&self) -> String {
        let group = self.group.as_ref().map(|group| format!(".{group}")).unwrap_or_default();
        format!("{JOIN_PREFIX}.{}.{}.{}{group}", self.id, hex::encode(&self.secret), self.root)
    }

    /// What the server keeps.
    pub fn verifier(&self) -> Verifier {
        Verifier(blake3::derive_key(VERIFIER_CONTEXT, &self.secret))
    }

    /// What the node sends.
    pub fn proof(&self, node: &NodeId, key: &NodePublicKey) -> JoinProof {
        JoinProof(*self.verifier().proof(node, key).as_bytes())
    }
}

impl FromStr for JoinToken {
    type Err = JoinError;

    fn from_str(text: &str) -> Result<Self, JoinError> {
        if text.len() > JOIN_MAX {
            return Err(JoinError::TooLong(text.len()));
        }
        let rest = text.strip_prefix(JOIN_PREFIX).and_then(|rest| rest.strip_prefix('.'));
        // A group may contain dots: it is what is left.
        let mut parts = rest.ok_or(JoinError::Prefix)?.splitn(4, '.');
        let mut part = || parts.next().unwrap_or("");
        let id = part().parse()?;
        let secret = hex::decode(part()).ok_or(JoinError::Part { part: "secret", digits: 32 })?;
        let root = hex::decode(part()).ok_or(JoinError::Part { part: "root fingerprint", digits: 64 })?;
        let group = parts.next().map(str::parse).transpose().map_err(JoinError::Group)?;
        Ok(Self { id, secret, root: Sha256::from_bytes(root), group })
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("id", &self.id)
            .field("root", &self.root)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

/// `POST /v1/tokens`: keep this token. The secret stays with who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Which.
    pub id: TokenId,
    /// The hash of its secret.
    pub verifier: Verifier,
    /// SHA-256 of the repository's first root.
    pub root: Sha256,
    /// The group that it names.
    pub group: Option<Group>,
    /// Seconds that it lives, 1 to [`TTL_MAX`].
    pub ttl_s: u64,
    /// Nodes that it lets in, 1 to [`USES_MAX`].
    pub uses: u32,
}

/// What the server tells about a token, `GET /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// Which.
    pub id: TokenId,
    /// The group that it names.
    pub group: Option<Group>,
    /// What can be done with it now.
    pub state: TokenState,
    /// When it was made, RFC 3339 in UTC.
    pub created: String,
    /// When it ends or ended, RFC 3339 in UTC.
    pub expires: String,
    /// Nodes that it lets in.
    pub uses: u32,
    /// Nodes that came with it, the first ones.
    pub nodes: Vec<NodeId>,
    /// How many came.
    pub used: u32,
}

/// What can be done with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenState {
    /// It lets nodes in.
    Usable,
    /// All its uses are spent.
    UsedUp,
    /// Its time is over.
    Expired,
    /// An admin ended it.
    Revoked,
    /// A variant of a newer server.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::NodeKey;

    fn token(group: Option<&str>) -> JoinToken {
        let group = group.map(|group| group.parse().unwrap());
        JoinToken::new([1; 6], [0xab; 16], Sha256::of(b"root"), group)
    }

    #[test]
    fn the_text_has_one_form() {
        let text = token(Some("rack.7")).to_text();
        let root = Sha256::of(b"root");
        assert_eq!(text, format!("bascule-join-1.010101010101.{}.{root}.rack.7", "ab".repeat(16)));
        assert_eq!(text.parse::<JoinToken>(), Ok(token(Some("rack.7"))));
        let part = |part, digits| Err(JoinError::Part { part, digits });
        let parse = |text: &str| text.parse::<JoinToken>();
        let plain = token(None).to_text();
        assert_eq!(parse(""), Err(JoinError::Prefix));
        assert_eq!(parse("bascule-join-1"), Err(JoinError::Prefix));
        assert_eq!(parse("bascule-join-1."), part("id", 12));
        assert_eq!(parse(&plain.replace("join-1", "join-2")), Err(JoinError::Prefix));
        assert_eq!(parse(&plain[..30]), part("secret", 32));
        assert_eq!(parse(&plain[..plain.len() - 1]), part("root fingerprint", 64));
        assert_eq!(parse(&plain.to_uppercase().replace("BASCULE-JOIN-1", JOIN_PREFIX)), part("secret", 32));
        assert!(matches!(parse(&format!("{plain}.")), Err(JoinError::Group(_))));
        assert!(matches!(parse(&format!("{plain}.A")), Err(JoinError::Group(_))));
        assert_eq!(parse(&format!("{plain}.{}", "a".repeat(90))), Err(JoinError::TooLong(plain.len() + 91)));
        assert_eq!(plain.len() + 65, JOIN_MAX);
    }

    #[test]
    fn a_proof_is_for_one_node_and_one_key() {
        let (token, node) = (token(None), "n1".parse().unwrap());
        let key = |seed| NodeKey::from_seed(&[seed; 32]).unwrap().public();
        let proof = token.proof(&node, &key(1));
        let verifier = token.verifier();
        assert!(verifier.accepts(&proof, &node, &key(1)));
        assert!(!verifier.accepts(&proof, &node, &key(2)));
        assert!(!verifier.accepts(&proof, &"n2".parse().unwrap(), &key(1)));
        let other = JoinToken::new([1; 6], [0xac; 16], token.root, None);
        assert!(!verifier.accepts(&other.proof(&node, &key(1)), &node, &key(1)));
        assert!(verifier.is(&token.verifier()) && !verifier.is(&other.verifier()));
    }

    #[test]
    fn nothing_prints_a_secret() {
        let token = token(None);
        let proof = token.proof(&"n".parse().unwrap(), &NodeKey::from_seed(&[1; 32]).unwrap().public());
        let shown = format!("{token:?} {:?} {proof:?}", token.verifier());
        assert!(!shown.contains("abab") && !shown.contains("171"), "{shown}");
        let error = "bascule-join-1.geheim".parse::<JoinToken>().unwrap_err().to_string();
        assert!(!error.contains("geheim"), "{error}");
    }

    proptest! {
        #[test]
        fn what_parses_prints_the_same(text in "(bascule-join-1\\.)?[0-9a-f]{10,13}\\.[0-9a-f]{31,33}\\.[0-9a-f]{63,65}(\\.[a-z.]{0,5})?") {
            if let Ok(token) = text.parse::<JoinToken>() {
                prop_assert_eq!(token.to_text(), text);
            }
        }

        #[test]
        fn a_cut_token_without_a_group_is_refused(id: [u8; 6], secret: [u8; 16], root: [u8; 32], cut in any::<prop::sample::Index>()) {
            let token = JoinToken::new(id, secret, Sha256::from_bytes(root), None);
            let text = token.to_text();
            prop_assert_eq!(text.parse::<JoinToken>(), Ok(token));
            prop_assert!(text[..cut.index(text.len())].parse::<JoinToken>().is_err());
        }

        #[test]
        fn foreign_text_never_panics(text in "\\PC{0,300}") {
            let _ = text.parse::<JoinToken>();
            let _ = format!("{JOIN_PREFIX}.{text}").parse::<JoinToken>();
        }
    }
}

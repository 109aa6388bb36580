//! Who a node is: its Ed25519 key, what it signs, and how it becomes known to the server.
//!
//! ```text
//! state partition: node.key ─▶ seal(kind, payload) ─▶ POST …/report, …/enrol ─▶ open(kind, body) ─▶ key, payload
//! ```
//! The key signs `WORD "\n" payload` and nothing else, where `WORD` is the kind's word ([`Kind::word`]): no signed message can be
//! taken for another kind's, and none begins with `{`, so none can be TUF metadata. The bytes that are verified are the bytes
//! that were sent; they are parsed only afterwards.
//!
//! What the signature says: the holder of this key said this, under this number. Whether the key is this node's is the
//! admin's word (`imgtool node approve`, or a join token). Delivery of images does not depend on any of it.

mod boot_id;
mod enrol;
mod key;
mod seal;
#[cfg(feature = "node-key")]
mod secret;

pub use boot_id::BootId;
pub use enrol::{ENROL_MAX, Enrol, EnrolAnswer, Joining, SignedReport};
pub use key::{NodeKeyError, NodePublicKey};
pub use seal::{HEAD_MAX, Kind, Opened, SealError, is_sealed, open};
#[cfg(feature = "node-key")]
pub use secret::NodeKey;

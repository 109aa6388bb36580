//! What the server said last about this node's key, `node.enrolled`: for people, and so that it is not asked at every boot.

use std::path::Path;

use fleet_protocol::identity::{EnrolAnswer, NodeKey, NodePublicKey};
use fleet_protocol::node::EnrolmentState;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::shelf::read_private;
use super::{DIR, KEY, Shelf, ShelfError};

/// Its name.
const FILE: &str = "node.enrolled";

/// What the server said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// About which key.
    pub key: NodePublicKey,
    /// What it said.
    pub answer: EnrolAnswer,
}

impl Status {
    /// Whether the server has approved `key`, by its own last word.
    pub fn is_approved(&self, key: &NodePublicKey) -> bool {
        self.key == *key && self.answer.state == EnrolmentState::Approved
    }

    pub(super) fn read(shelf: &dyn Shelf) -> Option<Self> {
        serde_json::from_slice(&shelf.read(FILE).ok()??).ok()
    }

    pub(super) fn remove(shelf: &dyn Shelf) -> Result<(), ShelfError> {
        shelf.remove(FILE)
    }

    pub(super) fn write(&self, shelf: &dyn Shelf) -> Result<(), ShelfError> {
        let json = serde_json::to_vec(self).expect("a status has string keys and no floats");
        shelf.write(FILE, &json)
    }
}

/// What the server said last, without taking the lock.
pub fn status(state: &Path) -> Option<Status> {
    serde_json::from_slice(&read_private(&state.join(DIR).join(FILE)).ok()??).ok()
}

/// The public key, without taking the lock.
pub fn public_key(state: &Path) -> Option<NodePublicKey> {
    let bytes = Zeroizing::new(read_private(&state.join(DIR).join(KEY)).ok()??);
    NodeKey::from_text(std::str::from_utf8(&bytes).ok()?).map(|key| key.public())
}

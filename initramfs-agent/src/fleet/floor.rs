//! Release floors: below which counter an image of a role is withdrawn.
//!
//! They are signed by the top-level role, in one target of its own. A floor refuses a new image at once; what a node has confirmed
//! to itself rises only after an image that is not below it was confirmed, so that a floor never takes the last slot away.

use image_format::Role;
use image_format::record::Record;
use signing::{Client, Value};

use super::trusted;

/// Target of the top-level role that carries the floors.
const TARGET: &str = "floor";

/// The signed floor of a role; 0 where none is signed.
pub fn signed(client: &Client, role: &Role) -> u64 {
    let custom = client.top_level_target(TARGET).and_then(|target| target.custom);
    let floors = custom.as_ref().and_then(|custom| custom.get("bascule")?.get("floors"));
    floors.and_then(|floors| floors.get(role.as_str())).and_then(Value::as_u64).unwrap_or(0)
}

/// Raises the record's floor to the signed one, for the role of the image that was confirmed last. Gives both when it rose.
/// Trusted files that do not verify raise nothing.
pub fn raise(record: &mut Record) -> Option<(Role, u64)> {
    let role = record.state.preferred_image()?.name.role.clone();
    let client = Client::offline(trusted::files(record.trusted.as_ref()?)).ok()?;
    let floor = signed(&client, &role);
    record.raise_floor(&role, floor).then_some((role, floor))
}

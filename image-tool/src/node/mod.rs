//! Nodes as people write and read them.

mod detail;
mod id;
mod keys;
mod table;

pub(crate) use self::detail::detail;
pub(crate) use self::id::node_id;
pub(crate) use self::keys::decided;
pub(crate) use self::table::table;

/// Text from a node: nothing in it may steer the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

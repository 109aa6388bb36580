//! Publishing: objects first, then the metadata that speaks of them, at once.
//!
//! ```text
//! Current (what is signed here) ─┐
//! Names (what is there) ─────────┴→ Plan ─→ objects that are missing ─→ commit ─→ Published
//! ```
//!
//! Killed anywhere before the commit, the other side shows nothing new and keeps the objects it has; the next run sends only
//! the rest. The plan compares names only: names carry versions and digests, so nothing is re-read to find that there is
//! nothing to do.

mod current;
mod objects;
mod plan;

pub(crate) use self::current::Current;
use self::current::manifest_file;
pub(crate) use self::objects::{Object, objects_of, objects_of_patches, read_index, read_table, upload};
pub(crate) use self::plan::{Plan, is_listed};

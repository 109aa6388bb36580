//! The inventory: what each node last said, and when it was last seen.
//!
//! [`kv`] is the small contract with the database, [`sqlite`] the embedded one; [`record`] is what is kept per node;
//! [`inventory`] applies reports and sightings, under caps that hold although nodes report without a token.

pub mod inventory;
pub mod kv;
pub mod record;
pub mod sqlite;

pub use inventory::Inventory;

//! The inventory: what each node last said, when it was last seen, and whose word its signature is.
//!
//! [`kv`] is the small contract with the database, [`sqlite`] the embedded one; [`record`] is what is kept per node, with its
//! [`keys`] and [`alerts`]; [`inventory`] applies reports and sightings, under caps that hold although nodes report without a
//! token; [`identity`] applies what is signed, and what admins decide about keys. [`tokens`] are join tokens, [`revoked`] the keys
//! that never count again, [`limit`] how often one address may ask.

pub mod alerts;
pub mod identity;
pub mod inventory;
pub mod keys;
pub mod kv;
pub mod limit;
pub mod metrics;
pub mod record;
pub mod revoked;
pub mod sqlite;
pub mod tokens;

pub use inventory::Inventory;

//! The network: find the interface that booted, bring it up, give it an address.

mod bring_up;
pub mod dhcp;
mod mac;
mod nic;

pub use bring_up::{Configured, NetError, Wanted, bring_up, resolv_conf};
pub use mac::{Mac, ParseMacError};
pub use nic::{Choice, Nic, choose, list};

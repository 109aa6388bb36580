//! A DHCP client (RFC 2131), enough to get an address: no renewal, the booted system has its own client.
//!
//! [`packet`] builds and reads messages, [`exchange`] is the protocol without I/O, [`run`] drives it over a UDP socket.

pub mod exchange;
pub mod packet;
mod run;

pub use packet::Lease;
pub use run::{CLIENT, DhcpError, SERVERS, run};

//! The limits of a listener. Each stops one way to hold memory, a descriptor or a thread for ever.

use std::time::Duration;

/// Largest request head (request line and headers), in bytes; a larger one is answered 431.
pub const HEAD_MAX: usize = 16 << 10;
/// Most header lines in a request; more are answered 431.
pub const HEADERS_MAX: usize = 64;
/// Bytes of an answer that the kernel takes per connection before it has sent them: what a client that reads nothing can pin, and
/// small enough that a slow but living reader shows progress within [`Limits::write_stall`]. What is on its way does not count:
/// a distant reader gets as much as its connection carries.
pub const UNSENT_MAX: u32 = 128 << 10;
/// Bytes that a blocked reader must take within [`Limits::write_stall`].
pub const STALL_MIN: usize = 32 << 10;
/// Backlog of connections that the kernel accepts for us.
pub const BACKLOG: u32 = 4096;

/// Limits and time-outs of one listener.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections in all.
    pub connections: usize,
    /// Open connections of one address. Many nodes may stand behind one NAT address.
    pub per_address: usize,
    /// From the first byte of a head (or from accepting the connection) to its end.
    pub head: Duration,
    /// Between an answer and the next head.
    pub idle: Duration,
    /// Time blocked in writing within which [`STALL_MIN`] bytes must go out.
    pub write_stall: Duration,
    /// From the request to stop until running answers are cut.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            per_address: 1024,
            head: Duration::from_secs(5),
            idle: Duration::from_secs(60),
            write_stall: Duration::from_secs(20),
            drain: Duration::from_secs(10),
        }
    }
}

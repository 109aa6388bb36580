//! The HTTP edge: sockets, limits and time-outs, before any request is understood.
//!
//! Order of defence for a connection: [`gate`] (caps), [`phase`] (a head must arrive in time, idle connections end), hyper's
//! own head limits, [`guarded`] (a reader that takes nothing is cut). Every limit is in [`limits::Limits`].

pub mod descriptors;
pub mod gate;
pub mod guarded;
pub mod limits;
pub mod listener;
pub mod phase;
pub mod shed;
pub mod workers;

pub use limits::Limits;

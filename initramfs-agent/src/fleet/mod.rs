//! What the server is asked and told.
//!
//! [`wish`] turns signed metadata into the image that this node should run; [`fetch`] gets the bytes; [`report`] tells the server
//! what happens. Nothing that the server says counts without a signature.

mod batch;
mod chunks;
pub mod clock;
pub mod evidence;
pub mod fetch;
pub mod floor;
#[doc(hidden)]
pub mod fuzzing;
pub mod report;
pub mod trusted;
pub mod ways;
pub mod wish;

pub use fetch::Server;
pub use report::Reporter;
pub use wish::{Wish, WishError};

//! A small HTTP/1.1 client for one server at a time: `GET` and `POST`, plain TCP, no redirects, no cookies, no compression.
//!
//! Nothing that arrives is trusted: every byte is checked by a signature or a digest afterwards. What this module guards is
//! time and memory. A request has one deadline over all of its parts, a limit on silence, and a limit on the body; a
//! server that trickles loses against the deadline, one that sends for ever against the limit.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`url`] | base URLs |
//! | [`head`] | the head of an answer |
//! | [`body`] | framing: length, chunked, until close |
//! | [`wire`] | a TCP connection with a deadline |
//! | [`client`] | one exchange over a kept connection |
//! | [`retry`] | when to try again |

pub mod body;
pub mod client;
mod error;
pub mod head;
pub mod retry;
pub mod url;
pub mod wire;

pub use client::{Answer, Client, Limits};
pub use error::HttpError;
pub use url::BaseUrl;

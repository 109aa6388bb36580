//! A bounded HTTP/1.1 client for one server at a time: `GET` and `POST`, plain TCP, no proxy, no redirects, no cookies, no
//! compression. The protocol is `ureq`'s; here are the bounds.
//!
//! Nothing that arrives is trusted: every byte is checked by a signature or a digest afterwards. What this module guards is
//! time and memory. A request has one deadline over all of its parts, a limit on silence, and a limit on the body; a
//! server that trickles loses against the deadline, one that sends for ever against the limit.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`url`] | base URLs |
//! | [`client`] | one exchange, with its limits |
//! | [`body`] | a body up to its limit |
//! | `head` | what of a head matters here |
//! | `error` | what can go wrong |
//! | [`retry`] | when to try again |

pub mod body;
pub mod client;
mod error;
mod head;
pub mod retry;
pub mod url;

pub use client::{Answer, Client, Limits};
pub use error::HttpError;
pub use url::BaseUrl;

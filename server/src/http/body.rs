//! The one body type of all answers.

use std::io;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

/// A body of an answer. An error ends the connection: a client never mistakes a broken body for a whole one.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is in memory.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// No body.
pub fn empty() -> Body {
    full(Bytes::new())
}

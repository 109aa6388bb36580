//! What can go wrong in an exchange.

use std::io;
use std::time::Duration;

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The name of the host has no address.
    #[error("cannot find an address for host {host}")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// Address and port.
        address: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The connection broke or fell silent.
    #[error("connection failed while {during}")]
    Io {
        /// Sending the request, reading the head, reading the body.
        during: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Slow retrieval: the whole exchange took longer than its deadline.
    #[error("answer not complete after {} s", .0.as_secs())]
    Deadline(Duration),
    /// Not an answer of HTTP/1.
    #[error("malformed answer: {0}")]
    Malformed(&'static str),
    /// Endless data: longer than the caller's limit.
    #[error("answer is longer than the {max} bytes allowed")]
    TooLarge {
        /// Limit in bytes.
        max: u64,
    },
    /// The body ended early.
    #[error("answer ended after {found} bytes, expected {expected}")]
    Truncated {
        /// Bytes announced.
        expected: u64,
        /// Bytes received.
        found: u64,
    },
    /// The receiver wanted no more.
    #[error("the receiver stopped the transfer")]
    Stopped,
    /// A status other than 2xx.
    #[error("server answered {status}{}", reason.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Status {
        /// The status code.
        status: u16,
        /// The first line of the body, cut, without control characters.
        reason: Option<String>,
        /// `Retry-After` in seconds.
        retry_after: Option<Duration>,
    },
}

impl HttpError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
            Self::Malformed(_) | Self::TooLarge { .. } | Self::Stopped => false,
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Io { .. }
            | Self::Deadline(_)
            | Self::Truncated { .. } => true,
        }
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the server says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: 404 | 410, .. })
    }
}

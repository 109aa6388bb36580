//! What can go wrong in an exchange.

use std::io::{self, ErrorKind};
use std::time::Duration;

use ureq::{Error, Timeout};

use super::BaseUrl;

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
        /// Host and port.
        address: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The connection broke or fell silent.
    #[error("connection failed while {during}")]
    Io {
        /// Waiting for the answer, or reading it.
        during: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Slow retrieval: the whole exchange took longer than its deadline.
    #[error("answer not complete after {} s", .0.as_secs())]
    Deadline(Duration),
    /// Not an answer of HTTP/1.
    #[error("malformed answer: {0}")]
    Malformed(String),
    /// The path cannot stand in a request.
    #[error("cannot ask for {path:?}")]
    Unaskable {
        /// The path, cut to 80 characters.
        path: String,
    },
    /// Endless data: longer than the caller's limit.
    #[error("answer is longer than the {max} bytes allowed")]
    TooLarge {
        /// Limit in bytes.
        max: u64,
    },
    /// The head or the body ended early.
    #[error("answer ended after {found} bytes{}", expected.map(|length| format!(", expected {length}")).unwrap_or_default())]
    Truncated {
        /// Length of the body as announced, in bytes.
        expected: Option<u64>,
        /// Bytes of the body received.
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
    ///
    /// A malformed answer is not one of them: our server frames every body by its length, so nothing that happens on the way can
    /// make another kind of answer of it; something else listens there, and will tomorrow.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
            Self::Malformed(_) | Self::Unaskable { .. } | Self::TooLarge { .. } | Self::Stopped => false,
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Io { .. }
            | Self::Deadline(_)
            | Self::Truncated { .. } => true,
        }
    }

    /// Whether the server answers that it failed, rather than that it has no time: 500 and not 503.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Status { status: 500..=599, .. }) && !self.is_busy()
    }

    /// Whether the server, or what stands before it, has no time now.
    fn is_busy(&self) -> bool {
        matches!(self, Self::Status { status: 408 | 429 | 502 | 503 | 504, .. })
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

    /// For a request to `base` without a head of an answer. `total` is the time that the exchange may take.
    pub(super) fn of_head(error: Error, base: &BaseUrl, path: &str, total: Duration) -> Self {
        let connect = |source| Self::Connect { address: format!("{}:{}", base.host(), base.port()), source };
        let resolve = |source| Self::Resolve { host: base.host().to_owned(), source };
        match error {
            Error::Timeout(Timeout::Connect) => connect(ErrorKind::TimedOut.into()),
            Error::Io(source) if is_unreachable(&source) => connect(source),
            Error::HostNotFound => resolve(ErrorKind::NotFound.into()),
            // Only the resolver fails without an error of the kernel.
            Error::Io(source) if source.raw_os_error().is_none() && !is_end(&source) => resolve(source),
            Error::Http(_) | Error::BadUri(_) => Self::Unaskable { path: path.chars().take(80).collect() },
            error => Self::of_exchange(error, "waiting for the answer", total, None, 0),
        }
    }

    /// For a body of which `found` bytes came of those `expected`.
    pub(super) fn of_body(error: Error, total: Duration, expected: Option<u64>, found: u64) -> Self {
        Self::of_exchange(error, "reading the answer", total, expected, found)
    }

    fn of_exchange(
        error: Error,
        during: &'static str,
        total: Duration,
        expected: Option<u64>,
        found: u64,
    ) -> Self {
        match error {
            Error::Timeout(Timeout::Global) => Self::Deadline(total),
            Error::Timeout(_) => Self::Io { during, source: ErrorKind::TimedOut.into() },
            Error::Io(source) if is_end(&source) => Self::Truncated { expected, found },
            Error::Io(source) => Self::Io { during, source },
            Error::LargeResponseHeader(_, max) => {
                Self::Malformed(format!("head is longer than the {max} bytes allowed"))
            }
            Error::Protocol(error) => Self::Malformed(error.to_string()),
            error => Self::Malformed(error.to_string()),
        }
    }
}

/// Whether the server closed the connection without an answer.
pub(super) fn is_closed(error: &Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error, Error::Io(source)
        if matches!(source.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof))
}

fn is_end(error: &io::Error) -> bool {
    error.kind() == ErrorKind::UnexpectedEof
}

fn is_unreachable(error: &io::Error) -> bool {
    use ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), AddrNotAvailable | ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

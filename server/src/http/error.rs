//! Every way to refuse a request: one enum that maps to a status, to a text for the client, and to a text for the log.

use std::error::Error as StdError;
use std::fmt;

use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};

use super::answer::Text;
use crate::net::shed::retry_after;

/// Why a request is refused. `Display` is what the client reads; [`Error::Internal`] keeps its cause for the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing of that name.
    #[error("not found: {0}")]
    NotFound(String),
    /// The request is malformed.
    #[error("bad request: {0}")]
    BadRequest(String),
    /// This path knows other methods.
    #[error("method not allowed; allowed: {0}")]
    Method(&'static str),
    /// No token, or a wrong one.
    #[error("not authorised: {0}")]
    Unauthorized(&'static str),
    /// Understood, and not for whoever asks.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// Too often from one address; seconds to wait.
    #[error("too many requests from this address; try again in {0} s")]
    TooMany(u64),
    /// A body without Content-Length.
    #[error("a body must declare its Content-Length")]
    LengthRequired,
    /// A body beyond the limit, in bytes.
    #[error("too large: expected at most {max} bytes, found {found}")]
    TooLarge {
        /// The limit.
        max: u64,
        /// What was declared or counted.
        found: u64,
    },
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    Timeout,
    /// It contradicts what is published.
    #[error("conflict: {0}")]
    Conflict(String),
    /// Understood and refused.
    #[error("refused: {0}")]
    Invalid(String),
    /// The disk is full or not writable; nothing was changed.
    #[error("no space: {0}; nothing was changed")]
    NoSpace(String),
    /// Too much at once.
    #[error("busy: {0}")]
    Busy(String),
    /// Snapshot and timestamp cannot be signed here.
    #[error("{0}; nothing was changed")]
    NotSigned(String),
    /// This server cannot do its work; one reason a line.
    #[error("{}", .0.join("\n"))]
    NotReady(Vec<String>),
    /// A fault of ours.
    #[error("internal error; the server's log says more")]
    Internal(#[source] Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// A fault of ours, or a full disk if that is what `error` comes from.
    pub fn internal(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let error = error.into();
        match storage_fault(error.as_ref()) {
            Some(fault) => Self::NoSpace(fault),
            None => Self::Internal(error),
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::LengthRequired => StatusCode::LENGTH_REQUIRED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NoSpace(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Busy(_) | Self::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotSigned(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the log says: the whole chain of causes.
    pub fn for_log(&self) -> String {
        match self {
            Self::Internal(cause) => format!("internal error: {}", Chain(cause.as_ref())),
            Self::NotReady(problems) => problems.join("; "),
            other => other.to_string(),
        }
    }
}

/// What an answer that refuses carries along, as an extension, for the layers around it.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// What the client reads.
    pub told: String,
    /// What the log says.
    pub reason: String,
}

/// As plain text; the admin listener makes JSON of it.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let refusal = Refusal { told: self.to_string(), reason: self.for_log() };
        // No cache keeps it: what is missing now may be published in a moment.
        let mut response = (self.status(), Text(format!("{self}\n"))).into_response();
        let headers = response.headers_mut();
        let mut set = |name, value: HeaderValue| headers.insert(name, value);
        match self {
            Self::Method(allowed) => {
                set(header::ALLOW, HeaderValue::from_static(allowed));
            }
            Self::Busy(_) => {
                set(header::RETRY_AFTER, retry_after().into());
            }
            Self::TooMany(seconds) => {
                set(header::RETRY_AFTER, seconds.into());
            }
            Self::Unauthorized(_) => {
                set(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                set(header::CONNECTION, HeaderValue::from_static("close"));
            }
            // The rest of a body that nobody read must not be taken for the next request.
            Self::BadRequest(_) | Self::LengthRequired | Self::TooLarge { .. } | Self::Timeout => {
                set(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response.extensions_mut().insert(refusal);
        response
    }
}

/// An error with its causes in one line.
pub struct Chain<'e>(pub &'e (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

/// What to tell an admin whose disk takes no more, if that is the bottom of `error`.
pub fn storage_fault(error: &(dyn StdError + 'static)) -> Option<String> {
    use std::io::ErrorKind;
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            match io.kind() {
                ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::FileTooLarge
                | ErrorKind::ReadOnlyFilesystem => {
                    return Some(io.to_string());
                }
                _ => {}
            }
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("store: cannot insert object abc")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_full_disk_is_507_however_deep() {
        for errno in [28 /* ENOSPC */, 122 /* EDQUOT */, 30 /* EROFS */] {
            let error = Error::internal(Outer(std::io::Error::from_raw_os_error(errno)));
            assert_eq!(error.status(), StatusCode::INSUFFICIENT_STORAGE);
            assert!(error.to_string().ends_with("nothing was changed"), "{error}");
        }
    }

    #[test]
    fn internal_causes_go_to_the_log_only() {
        let error = Error::internal(Outer(std::io::Error::other("secret path")));
        assert_eq!(error.to_string(), "internal error; the server's log says more");
        assert_eq!(error.for_log(), "internal error: store: cannot insert object abc: secret path");
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

//! An answer on its way out: response, the route it belongs to, and the reason of a refusal for the log.

use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::body::{Body, empty, full};
use super::error::Error;
use crate::net::shed::retry_after;

/// How errors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorForm {
    /// `reason\n`, on the delivery listener.
    Text,
    /// `{"error":"reason"}`, on the admin listener.
    Json,
}

/// A response with what the log wants to know about it.
#[derive(Debug)]
pub struct Answer {
    /// What goes out.
    pub response: Response<Body>,
    /// Why it is a refusal.
    pub reason: Option<String>,
}

impl Answer {
    /// An answer with this body.
    pub fn new(status: StatusCode, content_type: &'static str, body: Body) -> Self {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Self { response, reason: None }
    }

    /// 200 with plain text that no cache keeps.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        let length = text.len() as u64;
        Self::new(StatusCode::OK, "text/plain; charset=utf-8", full(text))
            .length(length)
            .with(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }

    /// 200 with JSON.
    ///
    /// # Errors
    /// A value that cannot be written as JSON.
    pub fn json<T: serde::Serialize>(value: &T) -> Result<Self, Error> {
        let text = serde_json::to_vec(value).map_err(Error::internal)?;
        let length = text.len() as u64;
        Ok(Self::new(StatusCode::OK, "application/json", full(text)).length(length))
    }

    /// A status without a body.
    pub fn bare(status: StatusCode) -> Self {
        let mut response = Response::new(empty());
        *response.status_mut() = status;
        Self { response, reason: None }
    }

    /// The answer that tells `error`.
    pub fn refusal(error: &Error, form: ErrorForm) -> Self {
        let text = match form {
            ErrorForm::Text => format!("{error}\n"),
            ErrorForm::Json => serde_json::json!({ "error": error.to_string() }).to_string(),
        };
        let content_type = match form {
            ErrorForm::Text => "text/plain; charset=utf-8",
            ErrorForm::Json => "application/json",
        };
        let length = text.len() as u64;
        let mut answer = Self::new(error.status(), content_type, full(text))
            .length(length)
            // What is missing now may be published in a moment.
            .with(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer.reason = Some(error.for_log());
        match error {
            Error::Method(allowed) => answer.with(header::ALLOW, HeaderValue::from_static(allowed)),
            Error::Busy(_) => answer.with(header::RETRY_AFTER, retry_after().into()),
            Error::Unauthorized(_) => {
                answer.with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")).closing()
            }
            // The rest of a body that nobody read must not be taken for the next request.
            Error::BadRequest(_) | Error::LengthRequired | Error::TooLarge { .. } | Error::Timeout => {
                answer.closing()
            }
            _ => answer,
        }
    }

    /// Sets a header.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.response.headers_mut().insert(name, value);
        self
    }

    /// Declares the length of the body in bytes, also for HEAD.
    pub fn length(self, bytes: u64) -> Self {
        self.with(header::CONTENT_LENGTH, bytes.into())
    }

    /// Ends the connection after this answer.
    pub fn closing(self) -> Self {
        self.with(header::CONNECTION, HeaderValue::from_static("close"))
    }
}

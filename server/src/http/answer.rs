//! What answers are made of, beside axum's own types.

use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

/// Plain text that no cache keeps.
#[derive(Debug)]
pub struct Text(pub String);

impl IntoResponse for Text {
    fn into_response(self) -> Response {
        ([(header::CACHE_CONTROL, "no-store")], self.0).into_response()
    }
}

/// The last touch on the head of every answer, outside of the router.
pub fn finish(status: StatusCode, headers: &mut HeaderMap) {
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        // axum declares the length of what it sends, 0. Here it must be absent or that of the 200 (RFC 9110, 8.6).
        headers.remove(header::CONTENT_LENGTH);
    } else {
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
}

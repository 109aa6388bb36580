//! Refusals of the admin listener: JSON, and not before the client has sent what it is sending.

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;

use crate::http::error::Refusal;
use crate::http::lend::lend;
use crate::http::request_body::discard;

/// The layer: `{"error":"reason"}` in the place of plain text.
pub(super) async fn layer(request: Request, next: Next) -> Response {
    let asks_first = request.headers().contains_key(header::EXPECT);
    let (head, body) = request.into_parts();
    let (body, loan) = lend(body);
    let response = next.run(Request::from_parts(head, body)).await;
    let Some(Refusal { told, .. }) = response.extensions().get() else { return response };
    let text = serde_json::json!({ "error": told }).to_string();
    // A client that asked first (`Expect: 100-continue`) sends nothing.
    if !asks_first && let Some(rest) = loan.returned() {
        discard(rest).await;
    }
    let (mut head, _) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Response::from_parts(head, Body::from(text))
}

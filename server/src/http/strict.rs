//! The path as it came, judged before it is routed and before any file is touched.
//!
//! Nothing is decoded or normalised: a name is spelled in the one way we spell it, or it does not exist.

use axum::extract::Request;
use axum::http::Uri;
use axum::middleware::Next;
use axum::response::Response;

use super::error::Error;

/// The layer for [`check`].
///
/// # Errors
/// As [`check`].
pub async fn layer(request: Request, next: Next) -> Result<Response, Error> {
    check(request.uri())?;
    Ok(next.run(request).await)
}

/// Refuses spellings that we never use, and requests that are meant for a proxy.
///
/// # Errors
/// [`Error::BadRequest`].
pub fn check(uri: &Uri) -> Result<(), Error> {
    if uri.authority().is_some() {
        return Err(Error::BadRequest("this is no proxy".into()));
    }
    spelling(uri.path()).map_err(|what| Error::BadRequest(what.into()))
}

/// Whether a path is spelled as ours are; an error is an attempt at something.
///
/// # Errors
/// What is wrong with it.
pub fn spelling(path: &str) -> Result<(), &'static str> {
    if path.contains('%') {
        return Err("percent-encoding in a path");
    }
    if path.contains("..") || path.contains('\\') || path.contains("//") || path.contains('\0') {
        return Err("a path that climbs or repeats separators");
    }
    Ok(())
}

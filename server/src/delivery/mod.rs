//! The delivery listener: objects, metadata, boot scripts, health. GET and HEAD only, no secrets, no writes.

mod batch;
mod boot_script;
pub mod casync;
mod file;
pub mod path;
pub mod ranges;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::{Method, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;

use crate::app::App;
use crate::health;
use crate::http::{Error, strict};
use crate::net::listener::Swift;

/// Everything that the delivery listener answers.
pub fn router(app: Arc<App>) -> Router {
    let routes = Router::new()
        .merge(batch::router())
        .merge(boot_script::router())
        .merge(casync::router())
        .merge(file::router())
        .merge(health::router())
        .merge(status::router())
        .fallback(async || Error::NotFound("no such page".into()))
        .with_state(app);
    // Layers around a router that has only a fallback run before anything is routed.
    Router::new().fallback_service(routes).layer(from_fn(guard))
}

/// The most frequent request without its way through the routes: a GET of an object whose place is known.
pub fn swift(app: Arc<App>) -> Swift {
    Swift::new(move |request| {
        let plain = request.method() == Method::GET
            && request.uri().authority().is_none()
            && request.uri().query().is_none()
            && request.body().is_end_stream()
            && !request.headers().contains_key(header::TRANSFER_ENCODING);
        if plain { file::known_object(&app, request.uri().path(), request.headers()) } else { None }
    })
}

/// Single files, for the admin listener too.
pub(crate) fn files() -> Router<Arc<App>> {
    file::router()
}

/// Lets through what this listener could answer at all.
async fn guard(request: Request, next: Next) -> Result<Response, Error> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Error::Method("GET, HEAD"));
    }
    strict::check(request.uri())?;
    if !request.body().is_end_stream() || request.headers().contains_key(header::TRANSFER_ENCODING) {
        return Err(Error::BadRequest("a GET has no body here".into()));
    }
    if request.uri().query().is_some() && !boot_script::PATHS.contains(&request.uri().path()) {
        return Err(Error::NotFound("this path has no query".into()));
    }
    Ok(next.run(request).await)
}

//! Routes with a word for logs and metrics, and with their `Allow`.

use std::sync::Arc;

use axum::handler::Handler;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{self, MethodRouter};

use super::error::Error;
use crate::app::App;

/// The kind of request, of bounded variety: an extension of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word(&'static str);

impl Word {
    /// Of a request that reached no route.
    pub const NONE: Self = Self("none");

    /// Of a request for an object.
    pub const OBJECT: Self = Self("object");

    /// The word.
    pub const fn text(self) -> &'static str {
        self.0
    }

    /// The word that an answer carries.
    pub fn of(response: &Response) -> &'static str {
        response.extensions().get().unwrap_or(&Self::NONE).0
    }
}

/// A route for GET and HEAD.
pub fn get<T: 'static>(word: &'static str, handler: impl Handler<T, Arc<App>>) -> MethodRouter<Arc<App>> {
    known_as(word, "GET, HEAD", routing::get(handler))
}

/// A route for POST.
pub fn post<T: 'static>(word: &'static str, handler: impl Handler<T, Arc<App>>) -> MethodRouter<Arc<App>> {
    known_as(word, "POST", routing::post(handler))
}

/// A route for PUT.
pub fn put<T: 'static>(word: &'static str, handler: impl Handler<T, Arc<App>>) -> MethodRouter<Arc<App>> {
    known_as(word, "PUT", routing::put(handler))
}

fn known_as(
    word: &'static str,
    allowed: &'static str,
    route: MethodRouter<Arc<App>>,
) -> MethodRouter<Arc<App>> {
    let named = move |mut response: Response| async move {
        response.extensions_mut().get_or_insert_with(|| Word(word));
        response
    };
    route.fallback(move || async move { Error::Method(allowed) }).layer(map_response(named))
}

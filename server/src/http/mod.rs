//! What delivery and admin share: routes with their words, path and body extractors, errors as answers, the line in the log.

pub mod answer;
pub mod buffer;
pub mod error;
pub mod lend;
pub mod name;
pub mod peer;
pub mod pieces;
pub mod request_body;
pub mod route;
pub mod strict;
pub mod tail;

pub use answer::Text;
pub use error::Error;
pub use name::{Name, Named};
pub use peer::Peer;

#[cfg(test)]
pub(crate) mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::Request;
    use axum::response::Response;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::route::Word;

    /// What `routes` answer, and the word that the log would have.
    pub(crate) async fn ask(routes: &Router, method: &str, path: &str) -> (Response, &'static str) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = TowerToHyperService::new(routes.clone()).call(request).await.unwrap();
        let word = Word::of(&response);
        (response, word)
    }
}

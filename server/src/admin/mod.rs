//! The admin listener: publishing and the node list, with the admin's token; nodes' reports without. What is published can be read
//! here as on the delivery listener, so that `imgtool pull` needs to know one address.

mod auth;
pub mod channel;
mod join;
mod nodes;
pub mod pack;
mod publish;
mod refusal;
mod speak;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;

use crate::app::App;
use crate::delivery;
use crate::health;
use crate::http::{Error, strict};

/// Everything that the admin listener answers.
pub fn router(app: Arc<App>) -> Router {
    let routes = Router::new()
        .merge(health::router())
        .merge(delivery::files())
        .merge(join::router())
        .merge(nodes::router())
        .merge(speak::router())
        .merge(publish::router())
        .merge(upload::router())
        .fallback(async || Error::NotFound("no such call".into()))
        .with_state(app);
    // Layers around a router that has only a fallback run before anything is routed.
    Router::new().fallback_service(routes).layer(from_fn(strict::layer)).layer(from_fn(refusal::layer))
}

#[cfg(test)]
mod tests {
    use axum::http::{StatusCode, header};

    use super::*;
    use crate::app::tests::app;
    use crate::http::tests::ask;

    #[tokio::test]
    async fn the_calls_of_the_contract() {
        let dir = tempfile::tempdir().unwrap();
        let routes = router(app(dir.path()));
        for (method, path, word, open) in [
            ("POST", "/v1/objects/missing", "missing", false),
            ("PUT", "/v1/objects", "pack", false),
            ("POST", "/v1/commit", "commit", false),
            ("GET", "/v1/metadata", "names", false),
            ("GET", "/v1/nodes", "nodes", false),
            ("GET", "/v1/nodes/52-54-00-12-34-56", "node", false),
            ("POST", "/v1/nodes/52-54-00-12-34-56/report", "report", true),
            ("POST", "/v1/nodes/52-54-00-12-34-56/enrol", "enrol", true),
            ("POST", "/v1/nodes/52-54-00-12-34-56/approve", "approve", false),
            ("POST", "/v1/nodes/52-54-00-12-34-56/revoke", "revoke", false),
            ("POST", "/v1/nodes/52-54-00-12-34-56/forget", "forget", false),
            ("GET", "/v1/tokens", "tokens", false),
            ("POST", "/v1/tokens/new", "token-new", false),
            ("POST", "/v1/tokens/010203040506/revoke", "token-revoke", false),
            ("GET", "/healthz", "healthz", true),
        ] {
            let (response, found) = ask(&routes, method, path).await;
            let needs_token = response.status() == StatusCode::UNAUTHORIZED;
            assert_eq!((needs_token, found), (!open, word), "{path}");
            let (refused, found) = ask(&routes, "DELETE", path).await;
            assert_eq!((refused.status(), found), (StatusCode::METHOD_NOT_ALLOWED, word), "{path}");
            let allowed = refused.headers()[header::ALLOW].to_str().unwrap();
            assert!(allowed.starts_with(method), "{path}: {allowed}");
        }
    }

    #[tokio::test]
    async fn hostile_paths_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let routes = router(app(dir.path()));
        for path in ["/", "/v1", "/v2/nodes", "/v1/objects/", "/v1/nodes2", "/admin.token", "*"] {
            let (refused, word) = ask(&routes, "GET", path).await;
            assert_eq!((refused.status(), word), (StatusCode::NOT_FOUND, "none"), "{path}");
        }
        for path in [
            "/v1/nodes/",
            "/v1/nodes/..",
            "/v1/nodes/%2e%2e",
            "/v1/nodes/A",
            "/v1/nodes/a/b/report",
            "/v1/nodes//report",
        ] {
            let (refused, word) = ask(&routes, "GET", path).await;
            assert_eq!((refused.status(), word), (StatusCode::BAD_REQUEST, "none"), "{path}");
        }
    }
}

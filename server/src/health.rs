//! `/healthz`: the process is up.

use std::sync::Arc;

use axum::Router;

use crate::app::App;
use crate::http::Text;
use crate::http::route::get;

/// The same on both listeners, without a token.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/healthz", get("healthz", async || Text("ok\n".into())))
}

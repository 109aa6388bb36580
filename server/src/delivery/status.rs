//! `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::app::{App, now};
use crate::http::route::get;
use crate::http::{Error, Text};
use crate::metrics::Snapshot;

/// Readiness and metrics.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/readyz", get("readyz", ready)).route("/metrics", get("metrics", metrics))
}

/// 200 `ok`, or 503 with one reason a line.
async fn ready(State(app): State<Arc<App>>) -> Result<Text, Error> {
    let problems = app.blocking(|app| Ok(app.ready.problems(&app.content, now()))).await?;
    if !problems.is_empty() {
        return Err(Error::NotReady(problems));
    }
    let published = app.content.published().view.is_some();
    Ok(Text(if published { "ok\n" } else { "ok; nothing is published yet\n" }.into()))
}

/// The text for Prometheus.
async fn metrics(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Error> {
    let snapshot = Snapshot {
        objects: app.content.objects(),
        nodes: app.inventory.by_health(),
        expires_in: app.content.published().expires_in(now()),
    };
    let text = app.metrics.text(&snapshot).map_err(Error::internal)?;
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, open_metrics)], Text(text)))
}

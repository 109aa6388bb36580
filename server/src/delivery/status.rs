//! `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::app::App;
use crate::http::route::get;
use crate::http::{Error, Text};
use crate::metrics::Snapshot;
use crate::ready::Readiness;

/// Readiness and metrics.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/readyz", get("readyz", ready)).route("/metrics", get("metrics", metrics))
}

/// 200 `ok`, or 503 with one reason a line; warnings follow, a line each.
async fn ready(State(app): State<Arc<App>>) -> Result<Text, Error> {
    let Readiness { problems, warnings } =
        app.blocking(|app| Ok(app.ready.look(&app.content, &app.online))).await?;
    if !problems.is_empty() {
        return Err(Error::NotReady(problems.into_iter().chain(warnings).collect()));
    }
    let published = app.content.published().view.is_some();
    let ok = if published { "ok" } else { "ok; nothing is published yet" };
    let lines: String = warnings.iter().map(|warning| format!("{warning}\n")).collect();
    Ok(Text(format!("{ok}\n{lines}")))
}

/// The text for Prometheus.
async fn metrics(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Error> {
    let published = app.content.published();
    let expiry = published.view.iter().flat_map(|view| &view.expiries);
    let snapshot = Snapshot {
        objects: app.content.objects(),
        nodes: app.inventory.by_health(),
        expires_in: published.expires_in(app.online.now()),
        expiry: expiry.map(|(role, expires)| (role.clone(), expires.0)).collect(),
    };
    app.metrics.fleet.observe(&app.inventory);
    let quarantine = app.blocking(|app| Ok(app.ready.quarantine(&app.content))).await?;
    app.metrics.care.observe(&quarantine);
    let text = app.metrics.text(&snapshot).map_err(Error::internal)?;
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, open_metrics)], Text(text)))
}

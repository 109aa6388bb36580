//! The node list, and the nodes' reports.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use fleet_protocol::NodeView;
use fleet_protocol::report::REPORT_MAX;
use image_format::NodeId;

use super::auth::Authorized;
use crate::app::{App, now};
use crate::content::published::Published;
use crate::fleet::inventory::InventoryError;
use crate::fleet::record::{NodeRecord, ReportError, parse_report};
use crate::http::request_body::Declared;
use crate::http::route::{get, post};
use crate::http::{Error, Name, Named};

/// The node list, and reports.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/nodes", get("nodes", all))
        .route("/v1/nodes/{id}", get("node", one))
        .route("/v1/nodes/{id}/report", post("report", report))
        .route("/v1/nodes/", any(no_id))
        .route("/v1/nodes/{id}/{*more}", any(no_id))
}

impl Name for NodeId {
    fn parse(text: &str) -> Result<Self, Error> {
        text.parse().map_err(|error| Error::BadRequest(format!("{error}")))
    }
}

async fn no_id() -> Error {
    Error::BadRequest("expected /v1/nodes/ID or /v1/nodes/ID/report".into())
}

async fn all(State(app): State<Arc<App>>, _: Authorized) -> Result<Response, Error> {
    app.blocking(|app| {
        app.tend();
        let published = app.content.published();
        let nodes = app.inventory.all().map_err(Error::internal)?;
        let nodes: Vec<NodeView> =
            nodes.into_iter().map(|(node, record)| view(&published, node, record)).collect();
        // Written here: a large fleet's list would keep other requests of the thread waiting.
        Ok(Json(nodes).into_response())
    })
    .await
}

async fn one(
    State(app): State<Arc<App>>,
    Named(node): Named<NodeId>,
    _: Authorized,
) -> Result<Json<NodeView>, Error> {
    app.blocking(move |app| {
        app.tend();
        let record = app.inventory.get(&node).map_err(Error::internal)?;
        let record = record.ok_or_else(|| Error::NotFound(format!("node {node} was never seen")))?;
        Ok(Json(view(&app.content.published(), node, record)))
    })
    .await
}

/// The only call without a token, next to health.
async fn report(
    State(app): State<Arc<App>>,
    Named(node): Named<NodeId>,
    body: Declared<REPORT_MAX>,
) -> Result<StatusCode, Error> {
    let bytes = body.whole().await?;
    let report = parse_report(&bytes, &node).map_err(|error| match error {
        ReportError::Node { .. } | ReportError::Syntax(_) => Error::BadRequest(error.to_string()),
        ReportError::TooMuch { .. } => Error::Invalid(error.to_string()),
    })?;
    tracing::info!(%node, event = ?report.event, health = ?report.health, text = ?report.message, "report");
    app.blocking(move |app| {
        let standing = app.content.published().standing(&node);
        app.inventory.report(&report, standing, now()).map_err(|error| match error {
            InventoryError::Full | InventoryError::Contended(_) => Error::Busy(error.to_string()),
            error => Error::internal(error),
        })
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn view(published: &Published, node: NodeId, record: NodeRecord) -> NodeView {
    let (group, pinned) = published.assignment(&node);
    NodeView {
        node,
        group,
        pinned,
        report: record.report,
        last_seen: record.last_seen.to_string(),
        identity: record.identity,
        events: record.events.into(),
    }
}

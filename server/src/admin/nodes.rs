//! The node list, and the nodes' reports.

use std::sync::Arc;

use fleet_protocol::NodeView;
use fleet_protocol::report::REPORT_MAX;
use hyper::HeaderMap;
use hyper::body::Incoming;
use image_format::NodeId;

use crate::app::{App, now};
use crate::content::published::Published;
use crate::fleet::inventory::InventoryError;
use crate::fleet::record::{NodeRecord, ReportError, parse_report};
use crate::http::request_body::whole;
use crate::http::{Answer, Error};

/// `GET /v1/nodes`.
pub(super) async fn all(app: &Arc<App>) -> Result<Answer, Error> {
    app.blocking(|app| {
        app.tend();
        let published = app.content.published();
        let nodes = app.inventory.all().map_err(Error::internal)?;
        let nodes: Vec<NodeView> =
            nodes.into_iter().map(|(node, record)| view(&published, node, record)).collect();
        Answer::json(&nodes)
    })
    .await
}

/// `GET /v1/nodes/{id}`.
pub(super) async fn one(app: &Arc<App>, node: NodeId) -> Result<Answer, Error> {
    app.blocking(move |app| {
        app.tend();
        let record = app.inventory.get(&node).map_err(Error::internal)?;
        let record = record.ok_or_else(|| Error::NotFound(format!("node {node} was never seen")))?;
        Answer::json(&view(&app.content.published(), node, record))
    })
    .await
}

/// `POST /v1/nodes/{id}/report`.
pub(super) async fn report(
    app: &Arc<App>,
    headers: &HeaderMap,
    body: &mut Incoming,
    node: NodeId,
) -> Result<(), Error> {
    let bytes = whole(headers, body, REPORT_MAX).await?;
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
    .await
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

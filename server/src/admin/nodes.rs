//! The node list, and what admins decide about nodes.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use fleet_protocol::NodeView;
use fleet_protocol::node::{Approve, REASON_MAX, Revoke};
use image_format::NodeId;
use serde::de::DeserializeOwned;

use super::auth::Authorized;
use crate::app::{App, now};
use crate::content::published::Published;
use crate::fleet::Inventory;
use crate::fleet::identity::DecisionError;
use crate::fleet::inventory::InventoryError;
use crate::fleet::record::NodeRecord;
use crate::http::request_body::Declared;
use crate::http::route::{get, post};
use crate::http::{Error, Name, Named};

/// Largest decision, in bytes.
pub(super) const DECISION_MAX: u64 = 4 << 10;

/// The node list, and decisions.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/nodes", get("nodes", all))
        .route("/v1/nodes/{id}", get("node", one))
        .route("/v1/nodes/{id}/approve", post("approve", approve))
        .route("/v1/nodes/{id}/revoke", post("revoke", revoke))
        .route("/v1/nodes/{id}/forget", post("forget", forget))
        .route("/v1/nodes/", any(no_id))
        .route("/v1/nodes/{id}/{*more}", any(no_id))
}

impl Name for NodeId {
    fn parse(text: &str) -> Result<Self, Error> {
        text.parse().map_err(|error| Error::BadRequest(format!("{error}")))
    }
}

async fn no_id() -> Error {
    Error::BadRequest(
        "expected /v1/nodes/ID, or /v1/nodes/ID/ and report, enrol, approve, revoke or forget".into(),
    )
}

async fn all(State(app): State<Arc<App>>, _: Authorized) -> Result<Response, Error> {
    app.blocking(|app| {
        app.tend();
        let published = app.content.published();
        let nodes = app.inventory.all().map_err(Error::internal)?;
        let nodes: Vec<NodeView> =
            nodes.into_iter().map(|(node, record)| view(&app.inventory, &published, node, record)).collect();
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
        Ok(Json(view(&app.inventory, &app.content.published(), node, record)))
    })
    .await
}

async fn approve(
    State(app): State<Arc<App>>,
    Named(node): Named<NodeId>,
    _: Authorized,
    body: Declared<DECISION_MAX>,
) -> Result<Json<NodeView>, Error> {
    let Approve { key } = decision(body).await?;
    app.blocking(move |app| {
        let record = app.inventory.approve(&node, key.as_deref(), now()).map_err(refused)?;
        tracing::info!(%node, key = ?record.keys.approved.as_ref().map(|key| key.key), "approved");
        Ok(Json(view(&app.inventory, &app.content.published(), node, record)))
    })
    .await
}

async fn revoke(
    State(app): State<Arc<App>>,
    Named(node): Named<NodeId>,
    _: Authorized,
    body: Declared<DECISION_MAX>,
) -> Result<Json<NodeView>, Error> {
    let Revoke { key, reason } = decision(body).await?;
    if reason.len() > REASON_MAX {
        return Err(Error::Invalid(format!(
            "reason: expected at most {REASON_MAX} bytes, found {}",
            reason.len()
        )));
    }
    app.blocking(move |app| {
        let record = app.inventory.revoke(&node, key.as_deref(), &reason, now()).map_err(refused)?;
        tracing::warn!(%node, ?key, ?reason, "revoked");
        Ok(Json(view(&app.inventory, &app.content.published(), node, record)))
    })
    .await
}

async fn forget(
    State(app): State<Arc<App>>,
    Named(node): Named<NodeId>,
    _: Authorized,
) -> Result<Json<serde_json::Value>, Error> {
    app.blocking(move |app| {
        if !app.inventory.forget(&node).map_err(inventory)? {
            return Err(Error::NotFound(format!("node {node} was never seen")));
        }
        tracing::info!(%node, "forgotten");
        Ok(Json(serde_json::json!({ "node": node, "forgotten": true })))
    })
    .await
}

/// A decision; no body is the plainest one.
pub(super) async fn decision<T: DeserializeOwned + Default>(
    body: Declared<DECISION_MAX>,
) -> Result<T, Error> {
    let bytes = body.whole().await?;
    if bytes.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&bytes).map_err(|error| Error::BadRequest(error.to_string()))
}

/// What a failure of the inventory is for the client.
pub(super) fn inventory(error: InventoryError) -> Error {
    match error {
        InventoryError::Full | InventoryError::Contended(_) => Error::Busy(error.to_string()),
        error => Error::internal(error),
    }
}

fn refused(error: DecisionError) -> Error {
    match error {
        DecisionError::Inventory(error) => inventory(error),
        DecisionError::UnknownNode(_) => Error::NotFound(error.to_string()),
        error => Error::Invalid(error.to_string()),
    }
}

fn view(known: &Inventory, published: &Published, node: NodeId, record: NodeRecord) -> NodeView {
    let enrolment = known.enrolment(&record);
    let (group, pinned) = published.assignment(&node, enrolment.group.as_ref());
    let events = record.history();
    NodeView {
        node,
        group,
        pinned,
        report: record.report,
        last_seen: record.last_seen.to_string(),
        identity: record.identity,
        enrolment,
        events,
    }
}

//! What nodes say, without the admin's token: reports, and that they want to enrol.
//!
//! A report without a signature counts for a node that has no approved key, as every node has none at first. From the approval on
//! only what the approved key signs counts.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router};
use fleet_protocol::identity::{ENROL_MAX, Enrol, EnrolAnswer, Kind, Opened, SealError, is_sealed, open};
use fleet_protocol::node::ReportTrust;
use fleet_protocol::report::REPORT_MAX;
use image_format::repository::Repository;
use image_format::{NodeId, Sha256};

use super::nodes::inventory;
use crate::app::{App, now};
use crate::fleet::inventory::Taken;
use crate::fleet::keys::{Fault, Message, Refusal};
use crate::fleet::limit::{REQUEST, WRONG_TOKEN};
use crate::fleet::record::{ReportError, parse_report, parse_signed_report};
use crate::http::error::Chain;
use crate::http::request_body::Declared;
use crate::http::route::post;
use crate::http::{Error, Named, Peer};

/// The only calls without a token, next to health and what delivery has, too.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/nodes/{id}/report", post("report", report))
        .route("/v1/nodes/{id}/enrol", post("enrol", enrol))
}

async fn report(
    State(app): State<Arc<App>>,
    Named(node): Named<NodeId>,
    body: Declared<REPORT_MAX>,
) -> Result<StatusCode, Error> {
    let bytes = body.whole().await?;
    app.blocking(
        move |app| if is_sealed(&bytes) { signed(app, &node, &bytes) } else { unsigned(app, &node, &bytes) },
    )
    .await
}

/// 204, or 202 where it is only shown.
fn unsigned(app: &App, node: &NodeId, bytes: &[u8]) -> Result<StatusCode, Error> {
    let report = parse_report(bytes, node).map_err(|error| bad_report(&error))?;
    let standing = app.content.published().standing(node);
    let taken = app.inventory.report(&report, standing, now()).map_err(inventory)?;
    tracing::info!(%node, event = ?report.event, health = ?report.health, text = ?report.message, ?taken, "report");
    let (outcome, status) = match taken {
        Taken::Counts => ("unsigned", StatusCode::NO_CONTENT),
        Taken::Claim => ("claim", StatusCode::ACCEPTED),
    };
    app.metrics.fleet.report(outcome);
    Ok(status)
}

fn signed(app: &App, node: &NodeId, bytes: &[u8]) -> Result<StatusCode, Error> {
    let refuse = |fault: &Fault| {
        app.metrics.fleet.report(fault.refusal.word());
        tracing::warn!(%node, reason = %fault, "report refused");
        refusal(fault)
    };
    let Opened { key, payload } = unsealed(app, node, Kind::Report, bytes, &refuse)?;
    let signed = match parse_signed_report(payload, node) {
        Err(error @ ReportError::Node { .. }) => {
            return Err(noted(app, node, &Fault::new(Refusal::WrongNode, error.to_string()), &refuse));
        }
        signed => signed.map_err(|error| bad_report(&error))?,
    };
    let message = Message::of(key, signed.number, signed.boot, payload);
    let (report, standing) = (signed.report, app.content.published().standing(node));
    let judged = app.inventory.signed_report(&message, &report, standing, now()).map_err(inventory)?;
    let trust = judged.map_err(|fault| refuse(&fault))?;
    tracing::info!(%node, event = ?report.event, health = ?report.health, text = ?report.message, ?trust,
        key = %key.short(), number = message.number, "report");
    app.metrics.fleet.report(if trust == ReportTrust::Approved { "approved" } else { "pending" });
    Ok(StatusCode::NO_CONTENT)
}

async fn enrol(
    State(app): State<Arc<App>>,
    Named(node): Named<NodeId>,
    Peer(peer): Peer,
    body: Declared<ENROL_MAX>,
) -> Result<Json<EnrolAnswer>, Error> {
    if let Err(wait) = app.inventory.limiter.take(peer, REQUEST, Instant::now()) {
        app.metrics.fleet.enrolment("limited");
        return Err(Error::TooMany(wait.as_secs() + 1));
    }
    let bytes = body.whole().await?;
    app.blocking(move |app| {
        let refuse = |fault: &Fault| {
            app.metrics.fleet.enrolment(fault.refusal.word());
            tracing::warn!(%node, %peer, reason = %fault, "enrolment refused");
            if fault.refusal == Refusal::JoinRefused {
                app.inventory.limiter.charge(peer, WRONG_TOKEN, Instant::now());
            }
            refusal(fault)
        };
        let Opened { key, payload } = unsealed(app, &node, Kind::Enrol, &bytes, &refuse)?;
        let asked: Enrol =
            serde_json::from_slice(payload).map_err(|error| Error::BadRequest(format!("enrolment: {error}")))?;
        if asked.node != node {
            let text = format!("enrolment: expected node {node}, found {}", asked.node);
            return Err(noted(app, &node, &Fault::new(Refusal::WrongNode, text), &refuse));
        }
        if let Some(own) = first_root(app)?
            && own != asked.root
        {
            let text = format!("the node trusts repository {}, this server has {}", asked.root.short(), own.short());
            return Err(noted(app, &node, &Fault::new(Refusal::JoinRefused, text), &refuse));
        }
        let mut message = Message::of(key, asked.number, asked.boot, payload);
        message.reason = asked.reason;
        let join = asked.join.as_ref().map(|join| (join, &asked.root));
        let standing = app.content.published().standing(&node);
        let answer = app.inventory.enrol(&node, &message, join, standing, now()).map_err(inventory)?;
        let answer = answer.map_err(|fault| refuse(&fault))?;
        app.metrics.fleet.enrolment(answer.state.word());
        tracing::info!(%node, key = %key.short(), state = answer.state.word(), text = ?answer.message, "enrolment");
        Ok(Json(answer))
    })
    .await
}

/// Verifies the signature.
fn unsealed<'b>(
    app: &App,
    node: &NodeId,
    kind: Kind,
    bytes: &'b [u8],
    refuse: &dyn Fn(&Fault) -> Error,
) -> Result<Opened<'b>, Error> {
    open(kind, bytes).map_err(|error| match error {
        SealError::Signature(_) => {
            noted(app, node, &Fault::new(Refusal::BadSignature, error.to_string()), refuse)
        }
        error => Error::BadRequest(Chain(&error).to_string()),
    })
}

/// Notes a fault at the node, if it is known, and makes the answer.
fn noted(app: &App, node: &NodeId, fault: &Fault, refuse: &dyn Fn(&Fault) -> Error) -> Error {
    match app.inventory.refuse(node, fault, now()) {
        Ok(()) => refuse(fault),
        Err(error) => inventory(error),
    }
}

fn refusal(fault: &Fault) -> Error {
    let text = fault.to_string();
    if fault.refusal.is_conflict() { Error::Conflict(text) } else { Error::Forbidden(text) }
}

fn bad_report(error: &ReportError) -> Error {
    match error {
        ReportError::Node { .. } | ReportError::Syntax(_) => Error::BadRequest(error.to_string()),
        ReportError::TooMuch { .. } => Error::Invalid(error.to_string()),
    }
}

/// SHA-256 of the repository's first root; none before the first publication.
pub(super) fn first_root(app: &App) -> Result<Option<Sha256>, Error> {
    let root = Repository::open(app.content.store()).read_metadata("1.root.json");
    Ok(root.map_err(Error::internal)?.map(|bytes| Sha256::of(&bytes)))
}

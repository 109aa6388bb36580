//! `/boot.ipxe`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};

use crate::app::{App, now};
use crate::boot::choose::{Choice, choose};
use crate::boot::identity::{self, Asked, Identity};
use crate::boot::script;
use crate::fleet::inventory::Sighting;
use crate::http::route::get;
use crate::http::{Error, Text};

/// The script's path and its alias. No other path of this listener has a query.
pub(super) const PATHS: [&str; 2] = ["/boot.ipxe", "/boot.ipxe.0"];

/// The script, by either path.
pub(super) fn router() -> Router<Arc<App>> {
    PATHS.into_iter().fold(Router::new(), |router, path| router.route(path, get("boot", boot_script)))
}

/// The script for whoever asks.
async fn boot_script(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Text, Error> {
    let bad = |error: &dyn std::fmt::Display| Error::BadRequest(error.to_string());
    let Asked { identity, join } = identity::parse(query.as_deref()).map_err(|error| bad(&error))?;
    let host = headers.get(header::HOST).map(|host| host.to_str().unwrap_or("\u{fffd}"));
    let urls = app.urls.for_host(host).map_err(|error| bad(&error))?;
    let Some(Identity { node, shown }) = identity else {
        app.metrics.boot_script("bootstrap");
        return Ok(Text(script::bootstrap(&urls, join.as_ref())));
    };
    let asked = node.clone();
    let known = app.blocking(move |app| {
        let record = app.inventory.get(&asked).map_err(Error::internal)?;
        // Only what can be used goes to the node, and only such a token says where a node belongs that has no key yet.
        let join = match join {
            Some(token) if app.inventory.tokens.usable(&token, now()).map_err(Error::internal)? => {
                Some(token)
            }
            _ => None,
        };
        Ok((record, join))
    });
    let (report, enrolled, join) = match known.await {
        Ok((None, join)) => (None, join.as_ref().and_then(|token| token.group.clone()), join),
        Ok((Some(record), join)) => {
            let new = record.keys.approved.is_none();
            let named = join.as_ref().filter(|_| new).and_then(|token| token.group.clone());
            (record.report, record.keys.group.or(named), join)
        }
        // A broken inventory must not keep nodes from booting.
        Err(error) => {
            tracing::error!(%node, reason = %error.for_log(), "boot script without the node's report");
            (None, None, None)
        }
    };
    let published = app.content.published();
    let choice = choose(published.view(), &node, enrolled.as_ref(), report.as_ref());
    let (text, outcome) = script::for_node(&choice, &node, &urls, join.as_ref());
    app.metrics.boot_script(outcome);
    let message = match &choice {
        Choice::Load { manifest, instead: None, .. } => format!("given {}", manifest.name),
        Choice::Load { manifest, instead: Some(why), .. } => format!("given {}: {why}", manifest.name),
        Choice::Leave { reason } => format!("left to its local disk: {reason}"),
    };
    tracing::info!(%node, outcome, text = ?message, "boot script");
    app.inventory.note(node, Sighting { time: now(), identity: shown, message });
    Ok(Text(text))
}
